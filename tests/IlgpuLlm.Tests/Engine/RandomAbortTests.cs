using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Outputs;
using IlgpuLlm.Tests.Golden;
using IlgpuLlm.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm.Tests.Engine;

/// <summary>Requests that come, run, are preempted and aborted at random leave nothing behind: no block, no buffer, no graph, nothing in the scheduler.</summary>
[TestClass]
[DoNotParallelize] // compares a device's free memory
public sealed class RandomAbortTests
{
    private const int MaxLive = 30, BlockSize = 8, NumBlocks = 32, MaxModelLen = NumBlocks * BlockSize;

    [TestMethod]
    [DataRow("cpu", "llama-gqa", "float32", false, 1000)]
    [DataRow("ilgpu", "llama-gqa", "float32", false, 40)] // on the CPU accelerator, if there is no GPU: steps overlap
    [DataRow("cuda", "llama-gqa", "float32", false, 1000)]
    [DataRow("cuda", "mistral-window16", "float16", false, 1000)]
    [DataRow("cuda", null, "float16", false, 1000)]
    [DataRow("cuda", null, "float16", true, 1000)]
    [DataRow("cpu", "llama-gqa", "float16", false, 1000, "int8")]
    [DataRow("cuda", null, "float16", false, 1000, "int8")]
    [DataRow("cuda", null, "float32", false, 1000, "int8")]
    public void Step_RequestsWithRandomAborts_LeaveNothingBehind(
        string device, string? zooModel, string dtype, bool batchInvariant, int numRequests, string kvCacheDtype = "auto")
    {
        if (device == "cuda" && !GoldenDevice.IsCuda)
            Assert.Inconclusive("skipped: needs a CUDA device");
        using var engine = EngineBuilder.Build(new EngineOptions
        {
            Model = zooModel is null ? null : TestData.Committed("zoo", zooModel),
            Device = device == "cpu" ? device : GoldenDevice.Ilgpu,
            DType = dtype,
            KvCacheDtype = kvCacheDtype,
            BatchInvariant = batchInvariant,
            MaxModelLen = MaxModelLen,
            BlockSize = BlockSize,
            NumBlocksOverride = NumBlocks,
            MaxNumSeqs = 16,
            MaxNumBatchedTokens = 64,
        }, NullLogger.Instance);
        var backend = ((ModelRunner)engine.Core.ModelRunner).Backend;
        var scheduler = engine.Core.Scheduler;
        CheckGolden(engine, zooModel, dtype);
        var (whole, expected) = (WholeCache(), Generate(engine, WholeCache()));
        Assert.AreEqual(50, expected.Outputs[0].TokenIds.Count);
        if (device == "cuda")
            RunAll(engine, numRequests); // kernels are loaded and graphs sent to the device when they are first used
        long numAllocations = backend.NumAllocations, freeBytes = backend.QueryMemory().FreeBytes;
        Assert.IsGreaterThan(10L, numAllocations, "allocations are counted");

        var (numFinished, numAborted) = RunAll(engine, numRequests);

        Assert.AreEqual(numRequests, numFinished + numAborted);
        Assert.IsTrue(numFinished > numRequests / 4 && numAborted > numRequests / 4, $"{numFinished} finished, {numAborted} aborted");
        Assert.IsGreaterThan(numRequests / 20, scheduler.NumPreemptions);
        Assert.IsFalse(scheduler.HasUnfinishedRequests);
        Assert.AreEqual((0, 0, NumBlocks), (scheduler.NumRunning, scheduler.NumWaiting, scheduler.NumFreeBlocks));
        engine.Step((_, _) => Assert.Fail("an output of a request that ended before")); // takes over a step that may be under way
        Assert.AreEqual(numAllocations, backend.NumAllocations, "steps allocate no buffers");
        if (device == "cuda")
            Assert.IsTrue(backend.QueryMemory().FreeBytes >= freeBytes, $"{freeBytes - backend.QueryMemory().FreeBytes} bytes of the device's memory are gone");
        CheckGolden(engine, zooModel, dtype);
        CollectionAssert.AreEqual(BatchInvariantTests.Bits(expected), BatchInvariantTests.Bits(Generate(engine, whole)), "a request that needs every block");
    }

    /// <summary>Runs all requests to their end or abortion.</summary>
    private static (int NumFinished, int NumAborted) RunAll(LoadedEngine engine, int numRequests)
    {
        var random = new Random(5);
        var live = new List<RequestState>();
        int next = 0, numFinished = 0, numAborted = 0;
        while (next < numRequests || live.Count > 0)
        {
            while (next < numRequests && live.Count < MaxLive && random.Next(3) > 0)
            {
                live.Add(engine.Add(engine.Inputs.Process($"{next}", RandomPrompt(random), RandomSampling(random, next)), 0));
                next++;
            }
            engine.Step((state, output) =>
            {
                Assert.IsTrue(live.Remove(state), "an output of a request that ended before");
                foreach (var completion in output.Outputs)
                    Assert.IsTrue(completion.FinishReason is FinishReason.Length or FinishReason.Stop, $"{completion.FinishReason}: {completion.Error}");
                numFinished++;
            });
            while (live.Count > 0 && random.Next(5) == 0)
            {
                int victim = random.Next(live.Count);
                engine.Abort(live[victim]);
                live.RemoveAt(victim);
                numAborted++;
            }
        }
        return (numFinished, numAborted);
    }

    private static Prompt RandomPrompt(Random random) => Prompt.FromTokens([.. Enumerable.Range(0, random.Next(1, 71)).Select(_ => random.Next(3, 256))]);

    private static SamplingParams RandomSampling(Random random, int seed)
    {
        var sampling = random.Next(8) switch
        {
            0 => new SamplingParams { TopK = 40, Temperature = 1.3f },
            1 => new SamplingParams { TopP = 0.9f, FrequencyPenalty = 0.5f, PresencePenalty = 0.5f },
            2 => new SamplingParams { MinP = 0.02f, RepetitionPenalty = 1.2f, StopTokenIds = [.. Enumerable.Range(0, 8).Select(_ => random.Next(3, 256))] },
            3 => new SamplingParams { Temperature = 0, Logprobs = 2 },
            4 => new SamplingParams { PromptLogprobs = 1 },
            5 => new SamplingParams { N = 2 },
            _ => new SamplingParams { Temperature = 0 },
        };
        return sampling with { Seed = seed, IgnoreEos = random.Next(2) == 0, MaxTokens = random.Next(1, 41), OutputKind = RequestOutputKind.FinalOnly };
    }

    /// <summary>A request that needs all blocks.</summary>
    private static (Prompt, SamplingParams) WholeCache()
    {
        var random = new Random(6);
        return (Prompt.FromTokens([.. Enumerable.Range(0, MaxModelLen - 50).Select(_ => random.Next(3, 256))]),
            new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = 50, Logprobs = 3, OutputKind = RequestOutputKind.FinalOnly });
    }

    private static RequestOutput Generate(LoadedEngine engine, (Prompt Prompt, SamplingParams Sampling) request)
    {
        RequestOutput? result = null;
        engine.Add(engine.Inputs.Process("golden", request.Prompt, request.Sampling), 0);
        while (engine.Core.Scheduler.HasUnfinishedRequests)
            engine.Step((_, output) => result = output);
        return result!;
    }

    /// <summary>What Transformers generates, where the model is one of the zoo in float32.</summary>
    private static void CheckGolden(LoadedEngine engine, string? zooModel, string dtype)
    {
        if (zooModel is null || dtype != "float32")
            return;
        var golden = TestData.Json(Path.Combine(TestData.Committed("zoo", zooModel), "golden.json")).GetProperty("prompts").EnumerateArray()
            .First(p => p.GetProperty("ids").GetArrayLength() > 1 && p.GetProperty("greedy_min_gap").GetDouble() > 1e-3);
        int[] greedy = [.. golden.GetProperty("greedy").EnumerateArray().Select(v => v.GetInt32())];
        var sampling = new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = greedy.Length, OutputKind = RequestOutputKind.FinalOnly };
        var output = Generate(engine, (Prompt.FromTokens([.. golden.GetProperty("ids").EnumerateArray().Select(v => v.GetInt32())]), sampling));
        CollectionAssert.AreEqual(greedy, output.Outputs[0].TokenIds.ToArray());
    }
}
