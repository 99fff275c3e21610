using System.Text.Json;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Bench.Serving;

namespace IlgpuLlm.Bench.Tests.Serving;

[TestClass]
public sealed class ServingBenchmarkTests
{
    private static readonly ServingRequest Small = new() { NumPrompts = 6, InputLen = 8, OutputLen = 5 };

    [TestMethod]
    public async Task Run_RatesOfASweep_CountAllRequestsAndTokens()
    {
        var results = await RunAsync(Small with { RequestRates = [200, double.PositiveInfinity], Goodput = new Dictionary<string, double> { ["ttft"] = 60_000, ["e2el"] = 60_000 } });
        Assert.AreEqual(2, results.Count);
        foreach (var result in results)
        {
            Assert.AreEqual((6, 0, 48L, 30L), (result.Completed, result.Failed, result.TotalInputTokens, result.TotalOutputTokens));
            Assert.AreEqual(6 / result.Duration, result.RequestThroughput, 1e-9 * result.RequestThroughput);
            Assert.AreEqual(result.RequestThroughput, result.RequestGoodput!.Value, 1e-9, "all keep limits of a minute");
            Assert.IsTrue(result.TtftMs.Mean > 0 && result.E2elMs.Median > result.TtftMs.Median);
            Assert.AreEqual(result.TtftMs.Median, result.TtftMs.Percentiles["p50"]);
        }
        Assert.IsTrue(results[0].Duration >= 5 / 200.0, "five gaps of 1/200 s lie between the first and the last request");
        Assert.IsNull(results[1].RequestRate);
    }

    [TestMethod]
    public async Task Run_LimitOfRequestsAtATime_IsKept()
    {
        var result = (await RunAsync(Small with { MaxConcurrency = 2 })).Single();
        Assert.AreEqual(2, result.MaxConcurrentRequests);
    }

    [TestMethod]
    public async Task Run_LimitsThatNoneKeeps_MakeNoGoodput() =>
        Assert.AreEqual(0, (await RunAsync(Small with { Goodput = new Dictionary<string, double> { ["ttft"] = 0 } })).Single().RequestGoodput);

    [TestMethod]
    public async Task Run_LengthsOfARange_AreInIt()
    {
        var result = (await RunAsync(Small with { NumPrompts = 40, InputLen = 10, OutputLen = 4, RangeRatio = 0.5 })).Single();
        Assert.IsTrue(result.TotalInputTokens is >= 40 * 5 and <= 40 * 15 and not 400 && result.TotalOutputTokens is >= 40 * 2 and <= 40 * 6,
            $"{result.TotalInputTokens}, {result.TotalOutputTokens}");
    }

    [TestMethod]
    public async Task Run_SequencesThatDoNotFit_SaysSo()
    {
        foreach (var (request, problem) in (List<(ServingRequest, string)>)
        [
            (Small with { InputLen = 1015, OutputLen = 10 }, "random-input-len: prompts of up to 1015 tokens and 10 new ones do not fit max-model-len, 1024"),
            (Small with { InputLen = 700, OutputLen = 10, RangeRatio = 0.5 }, "prompts of up to 1050 tokens and 15 new ones"),
            (Small with { InputLen = int.MaxValue, OutputLen = int.MaxValue, RangeRatio = 0.5 }, "prompts of up to 3221225471 tokens"),
        ])
            StringAssert.Contains((await Assert.ThrowsExactlyAsync<InvalidOptionException>(() => RunAsync(request))).Message, problem);
    }

    [TestMethod]
    public async Task Run_SequencesThatJustFit_EndWell() =>
        Assert.AreEqual((2, 0), (await RunAsync(Small with { NumPrompts = 2, InputLen = 1014, OutputLen = 10 })) is [var result] ? (result.Completed, result.Failed) : default);

    [TestMethod]
    public async Task Run_OneRequestOfOneToken_HasNoTimeBetweenTokens()
    {
        var result = (await RunAsync(Small with { NumPrompts = 1, OutputLen = 1, RequestRates = [1e-6] })).Single();
        Assert.AreEqual((1, 1L, null, null), (result.Completed, result.TotalOutputTokens, result.TpotMs.Mean, result.ItlMs.Mean));
        Assert.AreEqual(result.TtftMs.Mean, result.E2elMs.Mean);
        ServingLatency[] all = [result.TtftMs, result.E2elMs];
        Assert.IsTrue(all.All(latency => double.IsFinite(latency.Mean!.Value) && latency.Std == 0));
    }

    [TestMethod]
    public async Task Serialize_Result_HasVllmsNames()
    {
        var json = JsonSerializer.SerializeToElement((await RunAsync(Small)).Single(), ReportJson.Options);
        foreach (string name in (string[])["completed", "duration", "total_input_tokens", "request_throughput", "output_throughput", "total_token_throughput", "mean_ttft_ms",
            "median_tpot_ms", "std_itl_ms", "p99_e2el_ms"])
            Assert.IsTrue(json.GetProperty(name).GetDouble() >= 0, name);
    }

    [TestMethod]
    public void Validate_ValuesOutOfRange_AreRefused()
    {
        foreach (var (request, problem) in (List<(ServingRequest, string)>)
        [
            (Small with { NumPrompts = 0 }, "num-prompts: 0"), (Small with { RequestRates = [1, 0] }, "request-rate: 0"), (Small with { RequestRates = [double.NaN] }, "request-rate: NaN"),
            (Small with { RequestRates = [] }, "request-rate"), (Small with { Burstiness = 0 }, "burstiness: 0"),
            (Small with { Burstiness = 1e-300 }, "burstiness: 1E-300 must be in [0.01, 10000]"), (Small with { Burstiness = double.NaN }, "burstiness: NaN"),
            (Small with { RequestRates = [1e300] }, "request-rate: 1E+300 must be at most 1000000, or inf"), (Small with { RequestRates = [1e-320] }, "6 requests come in"),
            (Small with { RequestRates = [1e-9] }, "6 requests come in 5"), (Small with { RangeRatio = 1 }, "random-range-ratio: 1"),
            (Small with { Percentiles = [101] }, "metric-percentiles: 101"), (Small with { Goodput = new Dictionary<string, double> { ["x"] = 1 } }, "goodput: 'x'"),
            (Small with { MaxConcurrency = 0 }, "max-concurrency: 0"),
        ])
            StringAssert.Contains(Assert.ThrowsExactly<InvalidOptionException>(request.Validate).Message, problem);
    }

    private static async Task<IReadOnlyList<ServingResult>> RunAsync(ServingRequest request)
    {
        await using var llm = await AsyncLLM.CreateAsync(new EngineOptions { Device = "cpu" });
        return await new ServingBenchmark(llm, request).RunAsync(_ => { }, default);
    }
}
