using IlgpuLlm.Engine;
using IlgpuLlm.Outputs;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm.Tests.Engine;

/// <summary>A request's tokens do not depend on what else runs, on chunking, block size or preemption: the engine's central promise.</summary>
[TestClass]
public sealed class SameRequestSameTokensTests
{
    private const int NumRequests = 64;
    private const int CacheTokens = 400; // one request needs at most 300 + 80, so two long ones do not fit

    [TestMethod]
    [DataRow("llama-gqa", "float32", "auto")]
    [DataRow("mistral-window16", "float32", "int8")]
    [DataRow("mistral-window16", "float32", "auto")]
    [DataRow("llama-rope-dynamic", "float32", "auto")]
    [DataRow("llama-headdim", "float16", "auto")]
    [DataRow("llama-gqa", "float16", "int8")]
    public void Generate_RandomArrivalsTinyCache_EveryOutputEqualsTheRequestAlone(string zooModel, string dtype, string kvCacheDtype)
    {
        using var model = new TempModel(zooModel, ("max_position_embeddings", zooModel == "llama-rope-dynamic" ? 200 : 400));
        var options = new EngineOptions { Model = model.Folder, Device = "cpu", DType = dtype, KvCacheDtype = kvCacheDtype };
        var requests = Requests();
        int[][] alone = RunAlone(options, requests);
        foreach (int maxTokens in (int[])[7, 64, 512])
        {
            foreach (int blockSize in (int[])[1, 16])
            {
                int[][] together = RunTogether(options, requests, maxTokens, blockSize);
                for (int i = 0; i < NumRequests; i++)
                    CollectionAssert.AreEqual(alone[i], together[i], $"{zooModel}, max_num_batched_tokens {maxTokens}, block size {blockSize}, request {i}");
            }
        }
    }

    private static (Prompt Prompt, SamplingParams Sampling)[] Requests()
    {
        var random = new Random(17);
        return [.. Enumerable.Range(0, NumRequests).Select(i => (
            Prompt.FromTokens([.. Enumerable.Range(0, random.Next(1, 301)).Select(_ => random.Next(3, 256))]),
            new SamplingParams
            {
                Temperature = i % 2 == 0 ? 0 : 1.3f,
                TopK = i % 4 == 1 ? 40 : 0,
                TopP = i % 8 == 3 ? 0.9f : 1,
                Seed = i,
                IgnoreEos = true,
                MaxTokens = random.Next(1, 81),
                OutputKind = RequestOutputKind.FinalOnly,
            }))];
    }

    private static int[][] RunAlone(EngineOptions options, (Prompt Prompt, SamplingParams Sampling)[] requests)
    {
        using var llm = new LLM(options);
        return [.. requests.Select(r => llm.Generate(r.Prompt, r.Sampling).Outputs[0].TokenIds.ToArray())];
    }

    private static int[][] RunTogether(EngineOptions options, (Prompt Prompt, SamplingParams Sampling)[] requests, int maxTokens, int blockSize)
    {
        using var engine = EngineBuilder.Build(options with
        {
            MaxNumBatchedTokens = maxTokens,
            BlockSize = blockSize,
            NumBlocksOverride = CacheTokens / blockSize,
            MaxNumSeqs = 32,
        }, NullLogger.Instance);
        var random = new Random(maxTokens + blockSize);
        int[][] results = new int[requests.Length][];
        var indices = new Dictionary<RequestState, int>();
        int next = 0;
        while (next < requests.Length || engine.Core.Scheduler.HasUnfinishedRequests)
        {
            while (next < requests.Length && random.Next(3) > 0)
            {
                var processed = engine.Inputs.Process($"{next}", requests[next].Prompt, requests[next].Sampling);
                indices.Add(engine.Add(processed, 0), next++);
            }
            engine.Step((state, output) => results[indices[state]] = [.. output.Outputs[0].TokenIds]);
        }
        Assert.IsTrue(engine.Core.Scheduler.NumPreemptions > 0, "the cache must be small enough for preemption");
        Assert.AreEqual(CacheTokens / blockSize, engine.Core.Scheduler.NumFreeBlocks, "all blocks are free afterwards");
        return results;
    }
}
