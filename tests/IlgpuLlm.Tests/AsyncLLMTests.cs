using System.Text;
using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Inputs;
using IlgpuLlm.Scheduling;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm.Tests;

[TestClass]
public sealed class AsyncLLMTests
{
    private static readonly SamplingParams Greedy = new() { Temperature = 0, MaxTokens = 20, IgnoreEos = true };
    private static AsyncLLM _llm = null!;

    [ClassInitialize]
    public static async Task Load(TestContext _) => _llm = await AsyncLLM.CreateAsync(new EngineOptions { Device = "cpu" });

    [ClassCleanup]
    public static async Task Unload() => await _llm.DisposeAsync();

    [TestMethod]
    public async Task GenerateAsync_ConcurrentStreams_EachEqualsItsRequestAlone()
    {
        string[] prompts = [.. Enumerable.Range(0, 16).Select(i => $"The {i}th king")];
        string[] together = await Task.WhenAll(prompts.Select(p => Text(p, Greedy)));
        for (int i = 0; i < prompts.Length; i++)
            Assert.AreEqual(await Text(prompts[i], Greedy), together[i]);
    }

    [TestMethod]
    public async Task GenerateAsync_DeltaAndCumulative_AddUpToTheSameText()
    {
        var deltas = new StringBuilder();
        var tokens = new List<int>();
        await foreach (var output in _llm.GenerateAsync("Once upon a time", Greedy with { OutputKind = RequestOutputKind.Delta }))
        {
            deltas.Append(output.Outputs[0].Text);
            tokens.AddRange(output.Outputs[0].TokenIds);
        }
        string last = "";
        await foreach (var output in _llm.GenerateAsync("Once upon a time", Greedy))
        {
            StringAssert.StartsWith(output.Outputs[0].Text, last);
            last = output.Outputs[0].Text;
        }
        Assert.AreEqual(last, deltas.ToString());
        Assert.AreEqual(20, tokens.Count);
    }

    [TestMethod]
    public async Task GenerateAsync_StopStringInDeltas_IsNeverShown()
    {
        string text = await Text("Once upon a time", Greedy);
        string stop = text.Substring(text.Length / 2, 4);
        string shown = await Text("Once upon a time", Greedy with { Stop = [stop], OutputKind = RequestOutputKind.Delta });
        Assert.AreEqual(text[..text.IndexOf(stop, StringComparison.Ordinal)], shown);
    }

    [TestMethod]
    public async Task GenerateAsync_Cancelled_FreesTheBlocks()
    {
        using var source = new CancellationTokenSource();
        await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in _llm.GenerateAsync("Once", Greedy with { MaxTokens = 1000 }, cancellationToken: source.Token))
                await source.CancelAsync();
        });
        await AllBlocksFree();
    }

    [TestMethod]
    public async Task GenerateAsync_CancelledWhileTheCallerIsBusy_FreesTheBlocksAndLosesWhatWaits()
    {
        using var source = new CancellationTokenSource();
        // Long enough that the test does not see its end.
        var endless = Greedy with { Temperature = 1, Seed = 1, MaxTokens = 1000, IgnoreEos = true, N = 8, OutputKind = RequestOutputKind.Delta };
        await using var stream = _llm.GenerateAsync("Once", endless, cancellationToken: source.Token).GetAsyncEnumerator();
        for (int i = 0; i < 3; i++)
            Assert.IsTrue(await stream.MoveNextAsync());
        await Task.Delay(200); // outputs pile up
        await source.CancelAsync();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        await AllBlocksFree();
        Assert.IsLessThan(2, watch.Elapsed.TotalSeconds, "seconds");
        await Assert.ThrowsAsync<OperationCanceledException>(async () => await stream.MoveNextAsync());
    }

    [TestMethod]
    public async Task GenerateAsync_CancelledAtItsLastOutput_EndsWell()
    {
        using var source = new CancellationTokenSource();
        int numTokens = 0;
        await foreach (var output in _llm.GenerateAsync("Once", Greedy with { MaxTokens = 3, IgnoreEos = true, OutputKind = RequestOutputKind.Delta }, cancellationToken: source.Token))
        {
            numTokens += output.Outputs[0].TokenIds.Count;
            if (output.Finished)
                await source.CancelAsync();
        }
        Assert.AreEqual(3, numTokens);
    }

    [TestMethod]
    public async Task GenerateAsync_CancelledAtAnyTime_ThrowsOrEndsAndLeavesNothing()
    {
        var random = new Random(5);
        int numCancelled = 0, numDone = 0;
        await Task.WhenAll(Enumerable.Range(0, 100).Select(async i =>
        {
            using var source = new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(300)));
            bool isFinished = false;
            try
            {
                await foreach (var output in _llm.GenerateAsync($"Tale {i}", Greedy with { MaxTokens = 1 + i % 40 }, cancellationToken: source.Token))
                    isFinished = output.Finished;
                Assert.IsTrue(isFinished, "a request that was cancelled must not end as if it were done");
                Interlocked.Increment(ref numDone);
            }
            catch (OperationCanceledException)
            {
                Assert.IsFalse(isFinished, "a request that is done must not be cancelled");
                Interlocked.Increment(ref numCancelled);
            }
        }));
        Assert.IsTrue(numCancelled > 0, $"{numDone} of 100 were done");
        await AllBlocksFree();
    }

    [TestMethod]
    public async Task GenerateAsync_LoopLeftEarly_FreesTheBlocks()
    {
        await foreach (var _ in _llm.GenerateAsync("Once", Greedy with { MaxTokens = 1000 }))
            break;
        await AllBlocksFree();
    }

    [TestMethod]
    public async Task GenerateAsync_RandomAborts_LeaveNothingBehind()
    {
        var random = new Random(3);
        await Task.WhenAll(Enumerable.Range(0, 60).Select(async i =>
        {
            int stopAfter = random.Next(1, 30);
            await foreach (var output in _llm.GenerateAsync($"Tale {i}", Greedy with { OutputKind = RequestOutputKind.Delta }))
            {
                if (--stopAfter == 0)
                    break;
            }
        }));
        await AllBlocksFree();
    }

    [TestMethod]
    public async Task GenerateAsync_InvalidRequest_FailsAloneWhileOthersRun()
    {
        var running = Text("Once upon a time", Greedy);
        var error = await Assert.ThrowsExactlyAsync<InvalidRequestException>(() => Text("x", Greedy with { TopP = 2 }));
        Assert.AreEqual("top_p", error.Field);
        Assert.IsTrue((await running).Length > 0);
    }

    [TestMethod]
    public async Task GenerateAsync_IdInUse_IsRefused()
    {
        await using var first = _llm.GenerateAsync("Once", Greedy with { MaxTokens = 900 }, "same").GetAsyncEnumerator();
        Assert.IsTrue(await first.MoveNextAsync());
        await using var second = _llm.GenerateAsync("Once", Greedy, "same").GetAsyncEnumerator();
        var error = await Assert.ThrowsExactlyAsync<InvalidRequestException>(async () => await second.MoveNextAsync());
        Assert.AreEqual("request_id", error.Field);
    }

    [TestMethod]
    public async Task GenerateAsync_IdLikeANumber_DoesNotMeetTheEnginesOwn()
    {
        await using var llm = await AsyncLLM.CreateAsync(new EngineOptions { Device = "cpu" });
        await using var first = llm.GenerateAsync("Once", Greedy with { MaxTokens = 900 }, "0").GetAsyncEnumerator();
        Assert.IsTrue(await first.MoveNextAsync());
        await using var second = llm.GenerateAsync("Once", Greedy).GetAsyncEnumerator();
        Assert.IsTrue(await second.MoveNextAsync());
    }

    [TestMethod]
    public async Task GenerateAsync_Deltas_BringPromptLogprobsOnce()
    {
        List<int> counts = [];
        await foreach (var output in _llm.GenerateAsync("Once upon a time", Greedy with { PromptLogprobs = 1, OutputKind = RequestOutputKind.Delta }))
            counts.Add(output.PromptLogprobs!.Count);
        CollectionAssert.AreEqual(new[] { 4, 0 }, counts.Take(2).ToArray());
        Assert.AreEqual(4, counts.Sum());
    }

    [TestMethod]
    public async Task GenerateAsync_StepFails_EndsEveryRequestAndDisposes()
    {
        var info = LLM.Inspect(new EngineOptions { Device = "cpu" });
        var core = new EngineCore(new Scheduler(new SchedulerConfig(64, 8, 100), new KvCacheManager(new BlockPool(100), info.Memory.BlockSize)), new BrokenRunner());
        var inputs = new InputProcessor(new ModelLimits(info.Config.VocabSize, 100, 100, 1600), null, new SamplingParams(), null);
        var llm = new AsyncLLM(new LoadedEngine(core, inputs, null, [2], new SamplingParams(), info), NullLogger.Instance);
        for (int i = 0; i < 2; i++)
        {
            var error = await Assert.ThrowsExactlyAsync<EngineDeadException>(async () =>
                await llm.GenerateAsync(Prompt.FromTokens([1, 2])).GetAsyncEnumerator().MoveNextAsync());
            StringAssert.Contains(error.Message, "the device is gone");
        }
        await llm.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));
    }

    [TestMethod]
    public async Task DisposeAsync_RequestsRunning_EndThemWithAnError()
    {
        var llm = await AsyncLLM.CreateAsync(new EngineOptions { Device = "cpu" });
        await using var stream = llm.GenerateAsync("Once", Greedy with { MaxTokens = 1000 }).GetAsyncEnumerator();
        Assert.IsTrue(await stream.MoveNextAsync());
        await llm.DisposeAsync();
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(async () =>
        {
            while (await stream.MoveNextAsync())
            {
            }
        });
        await Assert.ThrowsExactlyAsync<ObjectDisposedException>(async () => await llm.GenerateAsync("late", Greedy).GetAsyncEnumerator().MoveNextAsync());
        await llm.DisposeAsync();
    }

    private static async Task<string> Text(string prompt, SamplingParams sampling)
    {
        var text = new StringBuilder();
        await foreach (var output in _llm.GenerateAsync(prompt, sampling))
        {
            if (sampling.OutputKind == RequestOutputKind.Cumulative)
                text.Clear();
            text.Append(output.Outputs[0].Text);
        }
        return text.ToString();
    }

    /// <summary>A device that fails in a step, and again when it is disposed.</summary>
    private sealed class BrokenRunner : IModelRunner
    {
        public bool Launch(SchedulerOutput scheduled) => throw new InvalidOperationException("the device is gone");

        public ModelRunnerOutput Collect() => throw new InvalidOperationException("nothing was launched");

        public void Dispose() => throw new InvalidOperationException("the device is still gone");
    }

    private static async Task AllBlocksFree()
    {
        for (int attempt = 0; _llm.NumFreeBlocks != _llm.Info.Memory.NumBlocks; attempt++)
        {
            Assert.IsTrue(attempt < 500, $"{_llm.NumFreeBlocks} of {_llm.Info.Memory.NumBlocks} blocks are free");
            await Task.Delay(10);
        }
    }
}
