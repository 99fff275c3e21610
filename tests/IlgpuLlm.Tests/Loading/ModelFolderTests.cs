using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class ModelFolderTests
{
    [TestMethod]
    public void Open_ZooFolder_FindsConfig()
    {
        var folder = ModelFolder.Open(IlgpuLlm.TestSupport.TestData.Committed("zoo", "llama-gqa"));
        Assert.IsTrue(File.Exists(folder.ConfigFile));
        Assert.AreEqual(Path.Combine(folder.FullPath, "generation_config.json"), folder.GenerationConfigFile);
    }

    [TestMethod]
    public void Open_MissingFolder_SaysThatNothingIsDownloaded() =>
        CheckpointErrors.Expect(() => ModelFolder.Open("/no/such/model"), "/no/such/model", "no such folder", "not downloaded");

    [TestMethod]
    public void Open_EmptyPath_IsRefused() => CheckpointErrors.Expect(() => ModelFolder.Open(" "), "model", "empty");

    [TestMethod]
    public void Open_FileInModelFolder_NamesTheFolder()
    {
        using var temp = new TempFolder();
        temp.Write("config.json", "{}");
        string file = temp.Write("model.safetensors", "");
        CheckpointErrors.Expect(() => ModelFolder.Open(file), file, "is a file", $"did you mean {temp.Path}?");
    }

    [TestMethod]
    public void Open_Gguf_SaysThatItIsNotSupported()
    {
        using var temp = new TempFolder();
        string file = temp.Write("llama.Q4_K_M.gguf", "");
        CheckpointErrors.Expect(() => ModelFolder.Open(file), file, "GGUF is not supported");
    }

    [TestMethod]
    public void Open_FolderWithoutConfig_NamesConfig()
    {
        using var temp = new TempFolder();
        CheckpointErrors.Expect(() => ModelFolder.Open(temp.Path), temp.Path, "has no config.json");
    }
}
