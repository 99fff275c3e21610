using System.Text.Json;
using IlgpuLlm.Evaluation;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>Compares a checkpoint of the zoo with its golden file.</summary>
internal static class ZooGolden
{
    /// <summary>The logits of the last position, and the likeliest token of each where its lead is beyond the tolerance.</summary>
    public static void CheckLogits(string model, string device, string dtype, double tolerance, int maxPromptLength, string kvCacheDtype = "auto")
    {
        string folder = TestData.Committed("zoo", model);
        using var llm = new LLM(new EngineOptions { Model = folder, Device = device, DType = dtype, KvCacheDtype = kvCacheDtype, CpuActivations = "fp32", MaxNumBatchedTokens = 512, MaxNumSeqs = 32 });
        var scorer = new TokenScorer(llm);
        foreach (var prompt in Prompts(folder, maxPromptLength))
        {
            int[] ids = Ints(prompt, "ids");
            var logits = scorer.Logits(ids);
            var expected = prompt.GetProperty("logits_last").EnumerateArray().Select(v => v.GetDouble()).ToArray();
            double worst = expected.Zip(logits[^1], (e, a) => Math.Abs(e - a)).Max();
            Assert.IsTrue(worst <= tolerance, $"{model} on {device}, {ids.Length} tokens: logits differ by {worst:E1}");
            if (Gap(prompt, "argmax_min_gap") <= 2 * tolerance)
                continue;
            int[] argmax = [.. logits.Select(row => row.AsSpan().IndexOf(row.Max()))];
            CollectionAssert.AreEqual(Ints(prompt, "argmax"), argmax, $"{model} on {device}, {ids.Length} tokens: argmax");
        }
    }

    /// <summary>Greedy tokens of the prompts whose top two logits are always further apart than <paramref name="smallestGap"/>; returns how many these are.</summary>
    public static int CheckGreedy(string model, string device, string dtype, double smallestGap, int maxPromptLength, string kvCacheDtype = "auto")
    {
        string folder = TestData.Committed("zoo", model);
        using var llm = new LLM(new EngineOptions { Model = folder, Device = device, DType = dtype, KvCacheDtype = kvCacheDtype, CpuActivations = "fp32", MaxNumBatchedTokens = 64, MaxNumSeqs = 8 });
        var prompts = Prompts(folder, maxPromptLength).Where(p => Gap(p, "greedy_min_gap") > smallestGap).ToList();
        var outputs = llm.Generate(prompts.Select(p => (Prompt.FromTokens(Ints(p, "ids")), (SamplingParams?)new SamplingParams
        {
            Temperature = 0,
            IgnoreEos = true,
            MaxTokens = p.GetProperty("greedy").GetArrayLength(),
        })));
        for (int i = 0; i < prompts.Count; i++)
            CollectionAssert.AreEqual(Ints(prompts[i], "greedy"), outputs[i].Outputs[0].TokenIds.ToArray(), $"{model} on {device}, prompt {i}");
        return prompts.Count;
    }

    /// <summary>0 where there is none.</summary>
    private static double Gap(JsonElement prompt, string property) =>
        prompt.TryGetProperty(property, out var gap) && gap.ValueKind == JsonValueKind.Number ? gap.GetDouble() : 0;

    private static IEnumerable<JsonElement> Prompts(string folder, int maxPromptLength) =>
        TestData.Json(Path.Combine(folder, "golden.json")).GetProperty("prompts").EnumerateArray().Where(p => p.GetProperty("ids").GetArrayLength() <= maxPromptLength);

    private static int[] Ints(JsonElement element, string property) => [.. element.GetProperty(property).EnumerateArray().Select(v => v.GetInt32())];
}
