using System.Text.Json.Nodes;
using IlgpuLlm.Tests.Golden;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

/// <summary>With <see cref="EngineOptions.BatchInvariant"/> a request's tokens and log-probabilities are the same bits alone, in any batch, in any chunks.</summary>
[TestClass]
[DoNotParallelize] // one engine after the other, each with a device's memory
public sealed class BatchInvariantTests
{
    [TestMethod]
    [DataRow("llama-gqa", "float32")]
    [DataRow("mistral-window16", "float16")]
    [DataRow(null, "float16")] // the demo model
    [DataRow("mistral-window16", "float32", "int8")]
    [DataRow(null, "float16", "int8")]
    public void Generate_OnTheCpu_SameBitsAloneAndInEveryBatch(string? zooModel, string dtype, string kvCacheDtype = "auto") =>
        Check(new EngineOptions { Model = Folder(zooModel), Device = "cpu", DType = dtype, KvCacheDtype = kvCacheDtype }, zooModel is null ? 10 : 24, longestPrompt: 90, maxTokens: 12);

    // Portable kernels: on ILGPU's CPU accelerator where there is no GPU.
    [TestMethod]
    [DataRow("llama-gqa", "float32")]
    [DataRow("llama-headdim", "float16")]
    [DataRow("mistral-window16", "float16")]
    [DataRow("llama-gqa", "float32", "int8")]
    [DataRow("mistral-window16", "float16", "int8")]
    public void Generate_PortableKernels_SameBitsAloneAndInEveryBatch(string zooModel, string dtype, string kvCacheDtype = "auto")
    {
        var (numRequests, longestPrompt, maxTokens) = GoldenDevice.IsCuda ? (160, 90, 40) : (6, 20, 4);
        Check(new EngineOptions { Model = Folder(zooModel), Device = GoldenDevice.Ilgpu, DType = dtype, KvCacheDtype = kvCacheDtype }, numRequests, longestPrompt, maxTokens);
    }

    [TestMethod]
    [DataRow("float32", false)]
    [DataRow("float32", true)]
    [DataRow("float16", false)]
    [DataRow("float32", false, "int8")]
    [DataRow("float16", false, "int8")]
    public void Generate_DemoModelOnCuda_SameBitsAloneAndInEveryBatch(string dtype, bool allowTf32, string kvCacheDtype = "auto")
    {
        RequireCuda();
        Check(new EngineOptions { Device = GoldenDevice.Ilgpu, DType = dtype, AllowTf32 = allowTf32, KvCacheDtype = kvCacheDtype }, numRequests: 160, longestPrompt: 400, maxTokens: 40);
    }

    // Sizes at which products are divided along k, and heads of 128 elements.
    [TestMethod]
    [DataRow("llama-gqa", "float32")]
    [DataRow("llama-gqa", "float16")]
    [DataRow("mistral-window16", "float16")]
    [DataRow("mistral-window16", "float16", "int8")]
    public void Generate_WideModelOnCuda_SameBitsAloneAndInEveryBatch(string zooModel, string dtype, string kvCacheDtype = "auto")
    {
        RequireCuda();
        (string, JsonNode?)[] changes =
        [
            ("hidden_size", 1024), ("intermediate_size", 2816), ("num_attention_heads", 8), ("num_key_value_heads", 2), ("head_dim", 128), ("vocab_size", 1000),
            ("max_position_embeddings", 1024), .. zooModel == "mistral-window16" ? [("sliding_window", (JsonNode?)70)] : Array.Empty<(string, JsonNode?)>(),
        ];
        using var model = new TempModel(zooModel, changes);
        Check(new EngineOptions { Model = model.Folder, Device = GoldenDevice.Ilgpu, DType = dtype, KvCacheDtype = kvCacheDtype, LoadFormat = "dummy" }, numRequests: 160, longestPrompt: 400, maxTokens: 40);
    }

    /// <summary>All that an output says of tokens, as integers.</summary>
    internal static int[] Bits(RequestOutput output)
    {
        var completion = output.Outputs[0];
        var positions = (output.PromptLogprobs ?? []).Concat(completion.Logprobs ?? []);
        var logprobs = positions.SelectMany(p => p.Top.Prepend(p.Chosen)).SelectMany(l => (int[])[l.TokenId, l.Rank, BitConverter.SingleToInt32Bits(l.Value)]);
        return [.. completion.TokenIds, .. logprobs];
    }

    private static void RequireCuda()
    {
        if (!GoldenDevice.IsCuda)
            Assert.Inconclusive("skipped: needs a CUDA device");
    }

    private static string? Folder(string? zooModel) => zooModel is null ? null : TestData.Committed("zoo", zooModel);

    private static void Check(EngineOptions options, int numRequests, int longestPrompt, int maxTokens)
    {
        options = options with { BatchInvariant = true, MaxModelLen = longestPrompt + maxTokens, NumBlocksOverride = numRequests * (longestPrompt + maxTokens + 15) / 16 };
        var requests = Requests(numRequests, longestPrompt, maxTokens);
        int[][] alone;
        using (var llm = new LLM(options with { MaxNumSeqs = 1 }))
        {
            Assert.IsTrue(llm.Info.IsBatchInvariant);
            alone = [.. requests.Select(r => Bits(llm.Generate(r.Prompt, r.Sampling!)))];
        }
        foreach (var (maxSeqs, maxBatchedTokens) in ((int, int)[])[(numRequests, 2048), (numRequests, 16 + numRequests), (9, 150), (3, 7)])
        {
            using var llm = new LLM(options with { MaxNumSeqs = maxSeqs, MaxNumBatchedTokens = maxBatchedTokens });
            var together = llm.Generate(requests);
            for (int i = 0; i < numRequests; i++)
            {
                string what = $"request {i} of {requests[i].Sampling}: at most {maxSeqs} sequences, {maxBatchedTokens} tokens";
                Assert.IsNull(together[i].Outputs[0].Error, what);
                CollectionAssert.AreEqual(alone[i], Bits(together[i]), what);
            }
        }
    }

    /// <summary>Greedy ones, with and without log-probabilities, and seeded ones.</summary>
    private static (Prompt Prompt, SamplingParams? Sampling)[] Requests(int numRequests, int longestPrompt, int maxTokens)
    {
        var random = new Random(29);
        return [.. Enumerable.Range(0, numRequests).Select(i => (
            Prompt.FromTokens([.. Enumerable.Range(0, i == 0 ? longestPrompt : random.Next(1, longestPrompt + 1)).Select(_ => random.Next(3, 256))]),
            (SamplingParams?)((i % 4) switch
            {
                0 => new SamplingParams { Temperature = 0, Logprobs = 3, PromptLogprobs = 1 },
                1 => new SamplingParams { TopP = 0.9f, Temperature = 1.2f, RepetitionPenalty = 1.1f },
                2 => new SamplingParams { Temperature = 0, Logprobs = 3 },
                _ => new SamplingParams { Temperature = 0 },
            } with
            { Seed = i, IgnoreEos = true, MaxTokens = i == 0 ? maxTokens : random.Next(1, maxTokens + 1), OutputKind = RequestOutputKind.FinalOnly })))];
    }
}
