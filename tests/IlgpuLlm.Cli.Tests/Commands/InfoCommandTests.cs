using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class InfoCommandTests
{
    [TestMethod]
    public async Task Info_DemoModel_ShowsDevicesModelAndPlan()
    {
        string text = (await CommandLine.RunAsync("info", "--device", "cpu", "--threads", "2", "--kv-cache-memory", "64MiB")).Text;
        foreach (string part in (string[])["2 threads", "-bit SIMD", "LlamaForCausalLM", "8,392,960", "float16 on cpu", "batch-invariant", "weights", "16.0 MiB", "64.0 MiB",
            "1024 blocks of 16 tokens", "longest sequence: 1024 tokens", "holds 16 of them"])
            StringAssert.Contains(text, part);
        Assert.IsFalse(text.Contains('\u001b'), "no escape sequences in files");
    }

    [TestMethod]
    public async Task Info_DummyWeights_NeedConfigAlone()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            File.Copy(Path.Combine(TestData.Committed("zoo", "mistral-window16"), "config.json"), Path.Combine(folder, "config.json"));
            string text = (await CommandLine.RunAsync("info", "--model", folder, "--load-format", "dummy", "--device", "cpu")).Text;
            StringAssert.Contains(text, "MistralForCausalLM");
            StringAssert.Contains(text, "sliding window of 16 tokens");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public async Task Info_ModelThatDoesNotFit_FailsAfterTheDevices()
    {
        var result = await CommandLine.RunAsync("info", "--device", "cpu", "--num-blocks", "1", "--max-model-len", "100");
        Assert.AreEqual(1, result.ExitCode);
        StringAssert.Contains(result.Out, "cpu");
        StringAssert.Contains(result.Error, "the plan: weights 16.0 MiB");
    }

    [TestMethod]
    public async Task Info_UnsupportedArchitecture_IsNamedWithTheSupportedOnes()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string config = await File.ReadAllTextAsync(Path.Combine(TestData.Committed("zoo", "llama-gqa"), "config.json"));
            await File.WriteAllTextAsync(Path.Combine(folder, "config.json"), config.Replace("LlamaForCausalLM", "MambaForCausalLM", StringComparison.Ordinal));
            var result = await CommandLine.RunAsync("info", "--model", folder, "--device", "cpu");
            Assert.AreEqual(1, result.ExitCode);
            StringAssert.Contains(result.Error, "MambaForCausalLM");
            StringAssert.Contains(result.Error, "LlamaForCausalLM");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
