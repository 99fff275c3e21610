using System.Text.Json.Nodes;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

/// <summary>A copy of a zoo checkpoint with some config fields changed.</summary>
internal sealed class TempModel : IDisposable
{
    public TempModel(string zooModel, params (string Field, JsonNode? Value)[] changes)
    {
        Folder = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;
        foreach (string file in Directory.GetFiles(TestData.Committed("zoo", zooModel)))
            File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
        var config = JsonNode.Parse(File.ReadAllText(ConfigFile))!.AsObject();
        foreach (var (field, value) in changes)
            config[field] = value;
        File.WriteAllText(ConfigFile, config.ToJsonString());
    }

    public string Folder { get; }

    public string ConfigFile => Path.Combine(Folder, "config.json");

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
