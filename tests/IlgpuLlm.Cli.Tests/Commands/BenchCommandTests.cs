using System.Text.Json;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class BenchCommandTests
{
    [TestMethod]
    public async Task Latency_DemoModelAsJson_ReportsWhatWasAskedFor()
    {
        var result = await CommandLine.RunAsync("bench", "latency", "--device", "cpu", "--batch-size", "2", "--input-len", "8", "--output-len", "4",
            "--num-iters", "1", "--json");
        var json = JsonDocument.Parse(result.Text).RootElement;
        Assert.AreEqual((2, 8, 4), (json.GetProperty("batch_size").GetInt32(), json.GetProperty("input_len").GetInt32(), json.GetProperty("output_len").GetInt32()));
        double step = json.GetProperty("step_ms").GetDouble(), rate = json.GetProperty("decode_tokens_per_second").GetDouble();
        Assert.AreEqual(2000 / step, rate, rate * 1e-6, "two sequences a step");
    }

    [TestMethod]
    public async Task Kernels_ZooModelAsJson_ListsTheOperationsOfAStep()
    {
        var result = await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--model", TestData.Committed("zoo", "llama-gqa"), "--context-len", "20", "--json");
        Assert.AreEqual(0, result.ExitCode, result.Error);
        string[] names = [.. result.Lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("name").GetString()!)];
        foreach (string operation in (string[])["linear qkv 128x64", "linear o 64x64", "linear gate-up 320x64", "linear down 64x160", "linear lm-head 256x64", "attention 20 tokens"])
            CollectionAssert.Contains(names, operation);
    }

    [TestMethod]
    public async Task Latency_NumbersOutOfRange_AreUsageErrors()
    {
        (await CommandLine.RunAsync("bench", "latency", "--device", "cpu", "--batch-size", "0")).AssertError(2, "batch-size: 0 must be at least 1");
        (await CommandLine.RunAsync("bench", "latency", "--device", "cpu", "--output-len", "1")).AssertError(2, "output-len: 1 must be at least 2");
        (await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--context-len", "0")).AssertError(2, "context-len: 0 must be at least 1");
    }
}
