using IlgpuLlm.Engine;
using IlgpuLlm.Outputs;
using IlgpuLlm.Tests.Golden;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm.Tests.Engine;

/// <summary>Steps that are launched before the tokens of the one before them are known make the same outputs as steps one by one.</summary>
[TestClass]
public sealed class AsyncSchedulingTests
{
    private const int CacheTokens = 128; // one request needs at most 60 + 30

    private static readonly int NumRequests = GoldenDevice.IsCuda ? 64 : 24; // ILGPU's CPU accelerator is slow

    [TestMethod]
    [DataRow("llama-gqa", 7, 1)]
    [DataRow("llama-gqa", 512, 16)]
    [DataRow("llama-rope-dynamic", 64, 16)]
    public void Generate_Overlapped_EveryOutputEqualsTheRequestAloneStepByStep(string zooModel, int maxTokens, int blockSize)
    {
        using var model = new TempModel(zooModel, ("max_position_embeddings", 100));
        var requests = Requests();
        var alone = RunAlone(model.Folder, requests);
        var together = RunTogether(model.Folder, requests, maxTokens, blockSize);
        for (int i = 0; i < NumRequests; i++)
        {
            if (together[i] is not { } output)
                continue; // aborted
            string what = $"request {i}: {requests[i].Sampling}";
            CollectionAssert.AreEqual(alone[i].Outputs[0].TokenIds.ToArray(), output.Outputs[0].TokenIds.ToArray(), what);
            Assert.AreEqual((alone[i].Outputs[0].FinishReason, alone[i].Outputs[0].StopReason), (output.Outputs[0].FinishReason, output.Outputs[0].StopReason), what);
            Assert.AreEqual(alone[i].Outputs[0].Logprobs?.Count, output.Outputs[0].Logprobs?.Count, what);
            Assert.AreEqual(alone[i].PromptLogprobs?.Count, output.PromptLogprobs?.Count, what);
        }
    }

    [TestMethod]
    public void Generate_StopStringsOverlapped_SameTextsAndNoBlockStays()
    {
        var sampling = new SamplingParams { Temperature = 0, MaxTokens = 6, IgnoreEos = true };
        Prompt[] prompts = ["Once"];
        using var stepwise = new LLM(new EngineOptions { Device = GoldenDevice.Ilgpu, AsyncScheduling = false, NumBlocksOverride = 64 });
        using var overlapped = new LLM(new EngineOptions { Device = GoldenDevice.Ilgpu, NumBlocksOverride = 64 });
        string text = stepwise.Generate(prompts[0], sampling).Outputs[0].Text;
        foreach (var stops in (string[][])[[], [text.Substring(text.Length / 2, 3)]])
        {
            var expected = stepwise.Generate(prompts, sampling with { Stop = stops }).Select(o => (o.Outputs[0].Text, o.Outputs[0].FinishReason, o.Outputs[0].StopReason));
            var actual = overlapped.Generate(prompts, sampling with { Stop = stops }).Select(o => (o.Outputs[0].Text, o.Outputs[0].FinishReason, o.Outputs[0].StopReason));
            CollectionAssert.AreEqual(expected.ToArray(), actual.ToArray());
            Assert.AreEqual(overlapped.Info.Memory.NumBlocks, overlapped.Core.Scheduler.NumFreeBlocks);
        }
    }

    private static (Prompt Prompt, SamplingParams Sampling)[] Requests()
    {
        var random = new Random(23);
        return [.. Enumerable.Range(0, NumRequests).Select(i => (
            Prompt.FromTokens([.. Enumerable.Range(0, random.Next(1, 61)).Select(_ => random.Next(3, 256))]),
            (i % 8) switch
            {
                0 => new SamplingParams { Temperature = 0, RepetitionPenalty = 1.5f },
                1 => new SamplingParams { TopK = 40, Temperature = 1.3f },
                2 => new SamplingParams { TopP = 0.9f, FrequencyPenalty = 0.5f, PresencePenalty = 0.5f },
                3 => new SamplingParams { MinTokens = 5, StopTokenIds = Tokens(8) },
                4 => new SamplingParams { MinTokens = 5, StopTokenIds = Tokens(40), RepetitionPenalty = 1.2f }, // more than a device row forbids
                5 => new SamplingParams { Logprobs = 2, FrequencyPenalty = 0.3f },
                6 => new SamplingParams { PromptLogprobs = 1, MinP = 0.02f },
                _ => new SamplingParams { StopTokenIds = Tokens(30) },
            } with
            { Seed = i, IgnoreEos = i % 3 == 0, MaxTokens = random.Next(i % 8 is 3 or 4 ? 5 : 1, 31), OutputKind = RequestOutputKind.FinalOnly }))];

        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(3, 256))];
    }

    private static RequestOutput[] RunAlone(string folder, (Prompt Prompt, SamplingParams Sampling)[] requests)
    {
        using var llm = new LLM(Options(folder) with { AsyncScheduling = false });
        return [.. requests.Select(r => llm.Generate(r.Prompt, r.Sampling))];
    }

    private static RequestOutput?[] RunTogether(string folder, (Prompt Prompt, SamplingParams Sampling)[] requests, int maxTokens, int blockSize)
    {
        using var engine = EngineBuilder.Build(Options(folder) with
        {
            MaxNumBatchedTokens = maxTokens,
            BlockSize = blockSize,
            NumBlocksOverride = CacheTokens / blockSize,
            MaxNumSeqs = 8,
        }, NullLogger.Instance);
        var random = new Random(maxTokens + blockSize);
        var results = new RequestOutput?[requests.Length];
        var states = new Dictionary<RequestState, int>();
        int next = 0, numAborted = 0;
        while (next < requests.Length || engine.Core.Scheduler.HasUnfinishedRequests)
        {
            while (next < requests.Length && random.Next(3) > 0)
                states.Add(engine.Add(engine.Inputs.Process($"{next}", requests[next].Prompt, requests[next].Sampling), 0), next++);
            engine.Step((state, output) =>
            {
                Assert.IsTrue(states.Remove(state, out int index), "a request without outputs any more");
                results[index] = output;
            });
            if (states.Count > 0 && random.Next(60) == 0)
            {
                var victim = states.Keys.First();
                engine.Abort(victim);
                states.Remove(victim);
                numAborted++;
            }
        }
        Assert.AreEqual(requests.Length - numAborted, results.Count(output => output is not null));
        Assert.IsTrue(engine.Core.Scheduler.NumPreemptions > 0, "the cache must be small enough for preemption");
        Assert.AreEqual(CacheTokens / blockSize, engine.Core.Scheduler.NumFreeBlocks, "all blocks are free afterwards");
        return results;
    }

    private static EngineOptions Options(string folder) => new() { Model = folder, Device = GoldenDevice.Ilgpu, DType = "float32" };
}
