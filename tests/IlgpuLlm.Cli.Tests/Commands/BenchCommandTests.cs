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
        Assert.IsTrue(json.GetProperty("copy_gigabytes_per_second").GetDouble() > 0 && json.GetProperty("decode_percent_of_copy").GetDouble() > 0);
        Assert.IsFalse(json.TryGetProperty("unhidden_host_ms", out _) || json.TryGetProperty("unhidden_host_percent", out _), "the CPU hides nothing of the host");
        double step = json.GetProperty("step_ms").GetDouble(), rate = json.GetProperty("decode_tokens_per_second").GetDouble();
        Assert.AreEqual(2000 / step, rate, rate * 1e-6, "two sequences a step");
    }

    [TestMethod]
    public async Task Throughput_DemoModelAsJson_RatesAgree()
    {
        var result = await CommandLine.RunAsync("bench", "throughput", "--device", "cpu", "--num-prompts", "3", "--input-len", "6", "--output-len", "2",
            "--batch-invariant", "--json");
        var json = JsonDocument.Parse(result.Text).RootElement;
        double seconds = json.GetProperty("elapsed_seconds").GetDouble();
        Assert.AreEqual(3 / seconds, json.GetProperty("requests_per_second").GetDouble(), 1e-6 / seconds);
        Assert.AreEqual(6 / seconds, json.GetProperty("output_tokens_per_second").GetDouble(), 1e-6 / seconds);
        Assert.AreEqual(24 / seconds, json.GetProperty("total_tokens_per_second").GetDouble(), 1e-6 / seconds);
        Assert.AreEqual(2, json.GetProperty("num_steps").GetInt32());
    }

    [TestMethod]
    public async Task Kernels_Shapes_AreTimedInsteadOfTheModels()
    {
        var result = await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--linear", "3x64x32", "--linear", "1x8x16", "--json");
        var rows = result.Lines.Select(line => JsonDocument.Parse(line).RootElement).Select(r => (r.GetProperty("name").GetString(), r.GetProperty("num_rows").GetInt32()));
        CollectionAssert.AreEqual((List<(string?, int)>)[("linear 64x32", 3), ("linear 8x16", 1)], rows.ToList());
        (await CommandLine.RunAsync("bench", "kernels", "--linear", "3x64")).AssertError(2, "--linear: '3x64' is not a shape such as 512x4096x4096");
    }

    [TestMethod]
    public async Task Kernels_Prefill_ListsTheOperationsOfAPrompt()
    {
        var result = await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--model", TestData.Committed("zoo", "llama-gqa"), "--prefill-len", "9", "--filter",
            "attention", "--json");
        var json = JsonDocument.Parse(result.Lines.Single()).RootElement;
        Assert.AreEqual(("prefill attention 9 tokens", 9), (json.GetProperty("name").GetString(), json.GetProperty("num_rows").GetInt32()));
    }

    [TestMethod]
    public async Task Kernels_ZooModelAsJson_ListsTheOperationsOfAStep()
    {
        var result = await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--model", TestData.Committed("zoo", "llama-gqa"), "--context-len", "20", "--json");
        Assert.AreEqual(0, result.ExitCode, result.Error);
        string[] names = [.. result.Lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("name").GetString()!)];
        foreach (string operation in (string[])["linear qkv 128x64", "linear o + residual 64x64", "linear gate-up + silu 320x64", "linear down + residual 64x160",
            "linear lm-head 256x64", "rms-norm 64", "rotary, attention 20 tokens"])
            CollectionAssert.Contains(names, operation);
    }

    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = false)]
    [DataRow("latency --output-len 1000 --num-iters 10000")]
    [DataRow("throughput --num-prompts 100000 --input-len 1")]
    public async Task Bench_Cancelled_EndsWith130(string command)
    {
        using var cancellation = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        var result = await CommandLine.RunAsync(["bench", .. command.Split(' '), "--device", "cpu"], "", new StringWriter(), cancellation.Token);
        Assert.AreEqual((130, "", ""), (result.ExitCode, result.Out, result.Error));
    }

    [TestMethod]
    public async Task Latency_NumbersOutOfRange_AreUsageErrors()
    {
        (await CommandLine.RunAsync("bench", "latency", "--device", "cpu", "--batch-size", "0")).AssertError(2, "batch-size: 0 must be at least 1");
        (await CommandLine.RunAsync("bench", "latency", "--device", "cpu", "--output-len", "1")).AssertError(2, "output-len: 1 must be at least 2");
        (await CommandLine.RunAsync("bench", "kernels", "--device", "cpu", "--context-len", "0")).AssertError(2, "context-len: 0 must be at least 1");
        (await CommandLine.RunAsync("bench", "throughput", "--device", "cpu", "--num-prompts", "0")).AssertError(2, "num-prompts: 0 must be at least 1");
    }
}
