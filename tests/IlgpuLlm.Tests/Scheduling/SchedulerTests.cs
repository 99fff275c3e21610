using IlgpuLlm.Engine;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Scheduling;

[TestClass]
public sealed class SchedulerTests
{
    private const int VocabSize = 1000;

    [TestMethod]
    public void Schedule_LongPrompt_IsChunkedByTheTokenBudget()
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 8);
        engine.Scheduler.Add(NewRequest("a", 20, maxTokens: 2));
        RunToEnd(engine);
        CollectionAssert.AreEqual(new[] { 8, 8, 4, 1 }, runner.Steps.Select(s => s.Single().NumTokens).ToArray());
    }

    [TestMethod]
    public void Schedule_DecodeAndPrefill_ShareAStepDecodesFirst()
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 8);
        engine.Scheduler.Add(NewRequest("a", 3, maxTokens: 5));
        engine.Step();
        engine.Scheduler.Add(NewRequest("b", 12, maxTokens: 2));
        engine.Step();
        CollectionAssert.AreEqual(new[] { ("a", 1), ("b", 7) }, runner.Steps[1]);
        engine.Step();
        CollectionAssert.AreEqual(new[] { ("a", 1), ("b", 5) }, runner.Steps[2]);
    }

    [TestMethod]
    public void Schedule_MoreRequestsThanMaxNumSeqs_AdmitsInOrderOfArrival()
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 64, maxSeqs: 2);
        foreach (string id in (string[])["a", "b", "c"])
            engine.Scheduler.Add(NewRequest(id, 2, maxTokens: 2));
        RunToEnd(engine);
        CollectionAssert.AreEqual(new[] { "a,b", "a,b", "c", "c" }, runner.Steps.Select(s => string.Join(',', s.Select(r => r.Id))).ToArray());
    }

    [TestMethod]
    public void Schedule_OutOfBlocks_PreemptsTheNewestAndRecomputesIt()
    {
        // 4 blocks of 4: two requests of 7 tokens fill them; the first one's growth takes the second one's blocks.
        var (engine, runner) = Engine(numBlocks: 4, maxTokens: 64);
        var (a, b) = (NewRequest("a", 7, maxTokens: 6), NewRequest("b", 7, maxTokens: 6));
        engine.Scheduler.Add(a);
        engine.Scheduler.Add(b);
        RunToEnd(engine);
        Assert.AreEqual(0, a.NumPreemptions);
        Assert.IsTrue(b.NumPreemptions > 0);
        AssertOutput(a);
        AssertOutput(b);
        Assert.AreEqual(4, engine.Scheduler.NumFreeBlocks);
        Assert.IsTrue(runner.Steps.Any(s => s.Length == 1 && s[0] is ("b", > 7)), "the recomputation feeds prompt and output in one chunk");
    }

    [TestMethod]
    [DataRow(7, 1)]
    [DataRow(7, 16)]
    [DataRow(64, 3)]
    [DataRow(512, 16)]
    public void Step_RandomRequestsRandomArrivals_EveryOutputAsIfAloneAndAllBlocksFree(int maxTokens, int blockSize)
    {
        var random = new Random(maxTokens * 31 + blockSize);
        int numBlocks = 400 / blockSize; // one request needs at most 299 + 80 tokens
        var (engine, _) = Engine(numBlocks, maxTokens, maxSeqs: 16, blockSize);
        var requests = Enumerable.Range(0, 200).Select(i => NewRequest($"{i}", random.Next(1, 300), random.Next(1, 80), blockSize)).ToList();
        int next = 0;
        var aborted = new HashSet<Request>();
        while (next < requests.Count || engine.Scheduler.HasUnfinishedRequests)
        {
            while (next < requests.Count && random.Next(3) == 0)
                engine.Scheduler.Add(requests[next++]);
            engine.Step();
            if (next > 0 && random.Next(40) == 0 && requests[random.Next(next)] is { Status: not RequestStatus.Finished } victim)
            {
                engine.Scheduler.Abort(victim.Id);
                aborted.Add(victim);
            }
        }
        foreach (var request in requests.Where(r => !aborted.Contains(r)))
            AssertOutput(request);
        Assert.IsTrue(aborted.Count > 0);
        Assert.IsTrue(engine.Scheduler.NumPreemptions > 0, "the cache is small enough for preemption");
        Assert.AreEqual(numBlocks, engine.Scheduler.NumFreeBlocks);
        Assert.AreEqual(0, engine.Scheduler.NumRunning + engine.Scheduler.NumWaiting);
    }

    [TestMethod]
    public void Step_OneRequestFails_TheOthersGoOn()
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 64);
        var (good, bad) = (NewRequest("good", 3, maxTokens: 4), NewRequest("bad", 3, maxTokens: 4));
        runner.Failing.Add("bad");
        engine.Scheduler.Add(bad);
        engine.Scheduler.Add(good);
        var outputs = engine.Step();
        Assert.AreEqual(FinishReason.Error, outputs[0].FinishReason);
        Assert.AreEqual("broken on purpose", outputs[0].Row.Error);
        RunToEnd(engine);
        AssertOutput(good);
        Assert.AreEqual(0, bad.NumOutputTokens);
        Assert.AreEqual(100, engine.Scheduler.NumFreeBlocks);
    }

    [TestMethod]
    public void Update_EosAndStopTokens_EndTheRequestUnlessIgnoredOrTooEarly()
    {
        int first = FakeModelRunner.NextToken([0, 1, 2], VocabSize);
        int second = FakeModelRunner.NextToken([0, 1, 2, first], VocabSize);
        Assert.AreEqual((1, FinishReason.Stop), Run(new SamplingParams(), eos: first));
        Assert.AreEqual((4, FinishReason.Length), Run(new SamplingParams { IgnoreEos = true }, eos: first));
        Assert.AreEqual((2, FinishReason.Stop), Run(new SamplingParams { StopTokenIds = [second] }, eos: VocabSize));
        Assert.AreEqual((4, FinishReason.Length), Run(new SamplingParams { StopTokenIds = [second], MinTokens = 3 }, eos: VocabSize));

        (int, FinishReason?) Run(SamplingParams sampling, int eos)
        {
            var (engine, _) = Engine(numBlocks: 10, maxTokens: 64);
            var request = new Request("a", [0, 1, 2], sampling, 4, 0, [eos], 4);
            engine.Scheduler.Add(request);
            FinishReason? reason = null;
            while (engine.Scheduler.HasUnfinishedRequests)
                reason = engine.Step()[0].FinishReason;
            return (request.NumOutputTokens, reason);
        }
    }

    [TestMethod]
    public void Add_RequestThatCanNeverFit_IsRefusedWithTheNumbers()
    {
        var (engine, _) = Engine(numBlocks: 4, maxTokens: 64);
        var error = Assert.ThrowsExactly<InvalidRequestException>(() => engine.Scheduler.Add(NewRequest("a", 10, maxTokens: 8)));
        StringAssert.Contains(error.Message, "10 prompt tokens and 8 new ones need 5 KV cache blocks of 4 tokens; the cache has 4, enough for 17 tokens");
        engine.Scheduler.Add(NewRequest("b", 10, maxTokens: 7));
        RunToEnd(engine);
    }

    [TestMethod]
    public void Add_SameId_IsRefusedWhileTheFirstRuns()
    {
        var (engine, _) = Engine(numBlocks: 4, maxTokens: 64);
        engine.Scheduler.Add(NewRequest("a", 3, maxTokens: 2));
        Assert.ThrowsExactly<InvalidRequestException>(() => engine.Scheduler.Add(NewRequest("a", 3, maxTokens: 2)));
        RunToEnd(engine);
        engine.Scheduler.Add(NewRequest("a", 3, maxTokens: 2));
    }

    [TestMethod]
    public void Abort_RunningWaitingAndUnknown_FreesBlocksAtOnce()
    {
        var (engine, _) = Engine(numBlocks: 10, maxTokens: 64, maxSeqs: 1);
        engine.Scheduler.Add(NewRequest("running", 9, maxTokens: 5));
        engine.Scheduler.Add(NewRequest("waiting", 9, maxTokens: 5));
        engine.Step();
        Assert.AreEqual(7, engine.Scheduler.NumFreeBlocks);
        engine.Scheduler.Abort("running");
        Assert.AreEqual(10, engine.Scheduler.NumFreeBlocks);
        engine.Scheduler.Abort("waiting");
        engine.Scheduler.Abort("unknown");
        Assert.IsFalse(engine.Scheduler.HasUnfinishedRequests);
    }

    private static (EngineCore Engine, FakeModelRunner Runner) Engine(int numBlocks, int maxTokens, int maxSeqs = 8, int blockSize = 4)
    {
        var config = new SchedulerConfig(maxTokens, maxSeqs, 4096);
        var runner = new FakeModelRunner(numBlocks, blockSize, config, VocabSize);
        return (new EngineCore(new Scheduler(config, new KvCacheManager(new BlockPool(numBlocks), blockSize)), runner), runner);
    }

    private static Request NewRequest(string id, int promptLength, int maxTokens, int blockSize = 4)
    {
        var random = new Random(promptLength);
        int[] prompt = [.. Enumerable.Range(0, promptLength).Select(i => (i * 7 + id.Length + random.Next(VocabSize)) % VocabSize)];
        return new Request(id, prompt, new SamplingParams { IgnoreEos = true }, maxTokens, 0, [], blockSize);
    }

    private static void RunToEnd(EngineCore engine)
    {
        for (int step = 0; engine.Scheduler.HasUnfinishedRequests; step++)
        {
            Assert.IsTrue(step < 10_000, "no progress");
            engine.Step();
        }
    }

    private static void AssertOutput(Request request)
    {
        Assert.AreEqual(request.MaxTokens, request.NumOutputTokens);
        for (int i = request.NumPromptTokens; i < request.NumTokens; i++)
            Assert.AreEqual(FakeModelRunner.NextToken(request.TokenIds[..i], VocabSize), request.TokenIds[i], $"request {request.Id}, token {i}");
    }
}
