using IlgpuLlm.Evaluation;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>stories260K against llama2.c's own output.</summary>
[TestClass]
public sealed class Stories260KTests
{
    public static IEnumerable<object[]> Devices => DemoModelTests.Devices;

    [TestMethod]
    [DynamicData(nameof(Devices))]
    public void Greedy_AllCases_MatchLlama2C(string device)
    {
        string folder = TestData.Shared("models", "stories260K");
        var cases = TestData.Json(TestData.Shared("vectors", "stories260K_greedy.json")).GetProperty("cases").EnumerateArray().ToList();
        using var llm = new LLM(new EngineOptions { Model = folder, Device = device, DType = "float32" });
        foreach (var test in cases)
        {
            int[] prompt = [.. test.GetProperty("prompt_ids_with_bos").EnumerateArray().Select(v => v.GetInt32())];
            int[] fed = [.. test.GetProperty("tokens_fed").EnumerateArray().Select(v => v.GetInt32())];
            int[] expected = [.. fed[prompt.Length..], test.GetProperty("next_token").GetInt32()];
            var output = llm.Generate(test.GetProperty("prompt").GetString()!, new SamplingParams { Temperature = 0, MaxTokens = expected.Length });
            CollectionAssert.AreEqual(prompt, output.PromptTokenIds.ToArray());
            CollectionAssert.AreEqual(expected, output.Outputs[0].TokenIds.ToArray(), $"prompt '{output.Prompt}'");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Devices))]
    public void Logits_EveryPosition_MatchLlama2C(string device)
    {
        var golden = TestData.Json(TestData.Shared("vectors", "stories260K_logits.json"));
        int[] tokens = [.. golden.GetProperty("tokens").EnumerateArray().Select(v => v.GetInt32())];
        using var llm = new LLM(new EngineOptions { Model = TestData.Shared("models", "stories260K"), Device = device, DType = "float32" });
        var logits = new TokenScorer(llm).Logits(tokens);
        var rows = golden.GetProperty("logits_f64").EnumerateArray().ToList();
        for (int t = 0; t < tokens.Length; t++)
        {
            double worst = rows[t].EnumerateArray().Zip(logits[t], (e, a) => Math.Abs(e.GetDouble() - a)).Max();
            Assert.IsTrue(worst <= 2e-4, $"position {t}: logits differ by {worst:E1}");
        }
    }
}
