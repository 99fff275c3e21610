using IlgpuLlm.DemoModel;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>
/// A folder for <c>--load-format dummy</c>, removed when it is disposed: the shape of a 7B model, and the demo model's tokenizer, whose ids are the first 4,096 of
/// 32,000. Tokenizing and detokenizing are thus in the times, although the texts mean nothing.
/// </summary>
internal sealed class DummyModel : IDisposable
{
    private DummyModel(string folder) => Folder = folder;

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>Makes the folder of a shape.</summary>
    /// <param name="name"><c>llama</c> or <c>mistral</c>.</param>
    public static DummyModel Create(string name)
    {
        var folder = Directory.CreateTempSubdirectory($"ilgpullm-{name}-");
        File.WriteAllText(Path.Combine(folder.FullName, "config.json"), Resource.Text($"{name}.json"));
        foreach (string file in (string[])["tokenizer.json", "tokenizer.model", "tokenizer_config.json"])
            File.Copy(Path.Combine(DemoModelFolder.FullPath, file), Path.Combine(folder.FullName, file));
        return new DummyModel(folder.FullName);
    }

    public void Dispose()
    {
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
    }
}
