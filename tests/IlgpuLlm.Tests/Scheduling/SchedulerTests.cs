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
    [DataRow(7, 1, false)]
    [DataRow(7, 16, false)]
    [DataRow(64, 3, false)]
    [DataRow(512, 16, false)]
    [DataRow(7, 1, true)]
    [DataRow(7, 16, true)]
    [DataRow(64, 3, true)]
    [DataRow(512, 16, true)]
    public void Step_RandomRequestsRandomArrivals_EveryOutputAsIfAloneAndAllBlocksFree(int maxTokens, int blockSize, bool overlaps)
    {
        var random = new Random(maxTokens * 31 + blockSize);
        int numBlocks = 400 / blockSize; // one request needs at most 299 + 80 tokens
        var (engine, _) = Engine(numBlocks, maxTokens, maxSeqs: 16, blockSize, overlaps);
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
    public void Step_Overlapped_TellsAStepsTokensOneStepLater()
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 64, overlaps: true);
        var request = NewRequest("a", 3, maxTokens: 3);
        engine.Scheduler.Add(request);
        Assert.AreEqual(0, engine.Step().Count);
        Assert.AreEqual(1, engine.Step().Count);
        Assert.AreEqual((1, 1), (request.NumOutputTokens, request.NumPendingTokens));
        Assert.AreEqual(1, engine.Step().Count);
        Assert.AreEqual(3, runner.Steps.Count);
        Assert.AreEqual(FinishReason.Length, engine.Step()[0].FinishReason);
        Assert.AreEqual(3, runner.Steps.Count, "its last token is no surprise: no step is launched beyond it");
        AssertOutput(request);
        Assert.AreEqual(100, engine.Scheduler.NumFreeBlocks);
    }

    [TestMethod]
    public void Step_OverlappedStop_DropsTheSurplusTokenAndFreesBlocksAtOnce()
    {
        var (engine, runner) = Engine(numBlocks: 3, maxTokens: 64, overlaps: true);
        int first = FakeModelRunner.NextToken([0, 1, 2], VocabSize);
        var request = new Request("a", [0, 1, 2], new SamplingParams(), 9, 0, [first], 4);
        engine.Scheduler.Add(request);
        engine.Step();
        Assert.AreEqual(FinishReason.Stop, engine.Step()[0].FinishReason);
        Assert.AreEqual((3, 2), (engine.Scheduler.NumFreeBlocks, runner.Steps.Count));
        var next = NewRequest("b", 9, maxTokens: 3);
        engine.Scheduler.Add(next);
        Assert.AreEqual(0, engine.Step().Count);
        RunToEnd(engine);
        AssertOutput(next);
        Assert.AreEqual(1, request.NumOutputTokens);
        Assert.AreEqual(3, engine.Scheduler.NumFreeBlocks);
    }

    [TestMethod]
    [DataRow(7)]
    [DataRow(64)]
    [DataRow(512)]
    public void Step_OverlappedRandomStopsFailuresAndAborts_OutputsAsIfAloneAndNoBlockStays(int maxTokens)
    {
        const int NumBlocks = 60, NumRequests = 1000, SmallVocab = 50;
        var config = new SchedulerConfig(maxTokens, 16, 100);
        var runner = new FakeModelRunner(NumBlocks, 4, config, SmallVocab, overlaps: true);
        var engine = new EngineCore(new Scheduler(config, new KvCacheManager(new BlockPool(NumBlocks), 4)), runner);
        var random = new Random(maxTokens);
        var requests = Enumerable.Range(0, NumRequests).Select(i =>
        {
            int[] prompt = [.. Enumerable.Range(0, random.Next(1, 70)).Select(_ => random.Next(SmallVocab))];
            var sampling = new SamplingParams { StopTokenIds = i % 3 == 0 ? [random.Next(SmallVocab), random.Next(SmallVocab)] : [], MinTokens = i % 7 };
            return new Request($"{i}", prompt, sampling, random.Next(10, 101 - prompt.Length), 0, [1, 2], 4);
        }).ToList();
        var ends = new Dictionary<Request, FinishReason>();
        var aborted = new HashSet<Request>();
        runner.Failing.UnionWith(Enumerable.Range(0, NumRequests).Where(i => i % 50 == 7).Select(i => $"{i}"));
        int next = 0;
        while (next < NumRequests || engine.Scheduler.HasUnfinishedRequests)
        {
            while (next < NumRequests && random.Next(4) > 0)
                engine.Scheduler.Add(requests[next++]);
            var outputs = engine.Step();
            for (int i = 0; i < outputs.Count; i++)
            {
                Assert.IsFalse(aborted.Contains(outputs[i].Request), "an aborted request has no outputs");
                Assert.IsFalse(ends.ContainsKey(outputs[i].Request), "nor has one that ended");
                if (outputs[i].FinishReason is { } reason)
                    ends.Add(outputs[i].Request, reason);
            }
            if (next > 0 && random.Next(4) == 0 && requests[random.Next(Math.Max(0, next - 20), next)] is { Status: not RequestStatus.Finished } victim)
            {
                engine.Scheduler.Abort(victim.Id);
                aborted.Add(victim);
            }
        }
        foreach (var request in requests.Except(aborted))
        {
            var (expected, reason) = Alone(request);
            if (runner.Failing.Contains(request.Id))
                (expected, reason) = ([], FinishReason.Error);
            CollectionAssert.AreEqual(expected, request.OutputTokenIds.ToArray(), $"request {request.Id}");
            Assert.AreEqual(reason, ends[request], $"request {request.Id}");
        }
        Assert.IsTrue(aborted.Count > 50 && engine.Scheduler.NumPreemptions > 10, $"{aborted.Count} aborted, {engine.Scheduler.NumPreemptions} preemptions");
        Assert.AreEqual(NumBlocks, engine.Scheduler.NumFreeBlocks);
        Assert.AreEqual(0, engine.Scheduler.NumRunning + engine.Scheduler.NumWaiting);

        static (int[] Output, FinishReason Reason) Alone(Request request)
        {
            List<int> tokens = [.. request.TokenIds[..request.NumPromptTokens]];
            while (true)
            {
                int token = FakeModelRunner.NextToken([.. tokens], SmallVocab), numOutput = tokens.Count - request.NumPromptTokens + 1;
                tokens.Add(token);
                bool stops = numOutput >= request.Sampling.MinTokens && (token is 1 or 2 || request.StopTokenIds.Contains(token));
                if (stops || numOutput == request.MaxTokens || tokens.Count == 100)
                    return ([.. tokens[request.NumPromptTokens..]], stops ? FinishReason.Stop : FinishReason.Length);
            }
        }
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void Step_OneRequestFails_TheOthersGoOn(bool overlaps)
    {
        var (engine, runner) = Engine(numBlocks: 100, maxTokens: 64, overlaps: overlaps);
        var (good, bad) = (NewRequest("good", 3, maxTokens: 4), NewRequest("bad", 3, maxTokens: 4));
        runner.Failing.Add("bad");
        engine.Scheduler.Add(bad);
        engine.Scheduler.Add(good);
        if (overlaps)
            engine.Step();
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
        foreach (bool overlaps in (bool[])[false, true])
        {
            Assert.AreEqual((1, FinishReason.Stop), Run(new SamplingParams(), eos: first, overlaps));
            Assert.AreEqual((4, FinishReason.Length), Run(new SamplingParams { IgnoreEos = true }, eos: first, overlaps));
            Assert.AreEqual((2, FinishReason.Stop), Run(new SamplingParams { StopTokenIds = [second] }, eos: VocabSize, overlaps));
            Assert.AreEqual((4, FinishReason.Length), Run(new SamplingParams { StopTokenIds = [second], MinTokens = 3 }, eos: VocabSize, overlaps));
        }

        (int, FinishReason?) Run(SamplingParams sampling, int eos, bool overlaps)
        {
            var (engine, _) = Engine(numBlocks: 10, maxTokens: 64, overlaps: overlaps);
            var request = new Request("a", [0, 1, 2], sampling, 4, 0, [eos], 4);
            engine.Scheduler.Add(request);
            FinishReason? reason = null;
            while (engine.Scheduler.HasUnfinishedRequests)
                reason = engine.Step() is { Count: > 0 } outputs ? outputs[0].FinishReason : null;
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

    private static (EngineCore Engine, FakeModelRunner Runner) Engine(int numBlocks, int maxTokens, int maxSeqs = 8, int blockSize = 4, bool overlaps = false)
    {
        var config = new SchedulerConfig(maxTokens, maxSeqs, 4096);
        var runner = new FakeModelRunner(numBlocks, blockSize, config, VocabSize, overlaps);
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
