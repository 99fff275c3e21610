using System.Text.Json;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>Every Llama and Mistral checkpoint of the zoo against Hugging Face Transformers in float32.</summary>
[TestClass]
public sealed class ZooGoldenTests
{
    private const double LogitTolerance = 2e-4;
    private const double SmallestGap = 1e-3; // greedy tokens are compared where the top two logits are further apart than this

    public static IEnumerable<object[]> Models => Directory.GetDirectories(TestData.Committed("zoo")).Select(folder => new object[] { Path.GetFileName(folder) }).Order(ByName);

    private static Comparer<object[]> ByName => Comparer<object[]>.Create((a, b) => string.CompareOrdinal((string)a[0], (string)b[0]));

    [TestMethod]
    public void Zoo_IsComplete() => Assert.AreEqual(18, Models.Count());

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Cpu_MatchTransformers(string model) => CheckLogits(model, "cpu", maxPromptLength: int.MaxValue);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Cpu_MatchesTransformers(string model) => CheckGreedy(model, "cpu", maxPromptLength: int.MaxValue);

    // One thread a lane: only the short prompts there, on a GPU all of them.
    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Ilgpu_MatchTransformers(string model) => CheckLogits(model, GoldenDevice.Ilgpu, GoldenDevice.MaxPromptLength);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Ilgpu_MatchesTransformers(string model) => CheckGreedy(model, GoldenDevice.Ilgpu, GoldenDevice.MaxPromptLength);

    private static void CheckLogits(string model, string device, int maxPromptLength)
    {
        string folder = TestData.Committed("zoo", model);
        using var probe = new ModelProbe(folder, device, "float32");
        foreach (var prompt in Prompts(folder, maxPromptLength))
        {
            int[] ids = Ints(prompt, "ids");
            float[][] logits = probe.Logits(ids);
            var expected = prompt.GetProperty("logits_last").EnumerateArray().Select(v => v.GetDouble()).ToArray();
            double worst = expected.Zip(logits[^1], (e, a) => Math.Abs(e - a)).Max();
            Assert.IsTrue(worst <= LogitTolerance, $"{model} on {device}, {ids.Length} tokens: logits differ by {worst:E1}");
            int[] argmax = [.. logits.Select(row => row.AsSpan().IndexOf(row.Max()))];
            CollectionAssert.AreEqual(Ints(prompt, "argmax"), argmax, $"{model} on {device}, {ids.Length} tokens: argmax");
        }
    }

    private static void CheckGreedy(string model, string device, int maxPromptLength)
    {
        string folder = TestData.Committed("zoo", model);
        using var llm = new LLM(new EngineOptions { Model = folder, Device = device, DType = "float32", MaxNumBatchedTokens = 64, MaxNumSeqs = 8 });
        var prompts = Prompts(folder, maxPromptLength)
            .Where(p => p.TryGetProperty("greedy_min_gap", out var gap) && gap.ValueKind == JsonValueKind.Number && gap.GetDouble() > SmallestGap).ToList();
        Assert.IsTrue(prompts.Count > 0, "nothing to compare");
        var outputs = llm.Generate(prompts.Select(p => (Prompt.FromTokens(Ints(p, "ids")), (SamplingParams?)new SamplingParams
        {
            Temperature = 0,
            IgnoreEos = true,
            MaxTokens = p.GetProperty("greedy").GetArrayLength(),
        })));
        for (int i = 0; i < prompts.Count; i++)
            CollectionAssert.AreEqual(Ints(prompts[i], "greedy"), outputs[i].Outputs[0].TokenIds.ToArray(), $"{model} on {device}, prompt {i}");
    }

    private static IEnumerable<JsonElement> Prompts(string folder, int maxPromptLength) =>
        TestData.Json(Path.Combine(folder, "golden.json")).GetProperty("prompts").EnumerateArray().Where(p => p.GetProperty("ids").GetArrayLength() <= maxPromptLength);

    private static int[] Ints(JsonElement element, string property) => [.. element.GetProperty(property).EnumerateArray().Select(v => v.GetInt32())];
}
