using System.Text.Json;
using IlgpuLlm.Evaluation;
using IlgpuLlm.Quantization;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>stories260K in 4 bits, once in AWQ's layout and once in GPTQ's, against a forward pass in double precision on the dequantised weights.</summary>
[TestClass]
public sealed class QuantizedStories260KTests
{
    private static readonly string[] Models = ["stories260K-awq-g64", "stories260K-gptq-g64"];

    public static IEnumerable<object[]> Devices => DemoModelTests.Devices;

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Cpu_MatchesReference(string model)
    {
        using var llm = new LLM(new EngineOptions { Model = TestData.Shared("models", model), Device = "cpu", DType = "float32", CpuActivations = "fp32" });
        foreach (var test in Expected().GetProperty("cases").EnumerateArray())
        {
            int[] prompt = Ints(test.GetProperty("prompt_ids")), expected = Ints(test.GetProperty("ids"))[prompt.Length..];
            CollectionAssert.AreEqual(expected, Generate(llm, prompt, expected.Length), $"prompt of {prompt.Length} tokens");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Devices))]
    public void Greedy_AwqAndGptq_SameTokens(string device)
    {
        var outputs = Models.Select(model =>
        {
            using var llm = new LLM(new EngineOptions { Model = TestData.Shared("models", model), Device = device });
            return Generate(llm, [1], 128);
        }).ToArray();
        CollectionAssert.AreEqual(outputs[0], outputs[1]);
    }

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Cpu_MatchReference(string model)
    {
        var expected = Expected();
        using var llm = new LLM(new EngineOptions { Model = TestData.Shared("models", model), Device = "cpu", DType = "float32", CpuActivations = "fp32" });
        var scorer = new TokenScorer(llm);
        int[] ids = Ints(expected.GetProperty("eval_ids_with_bos"));
        double nll = -scorer.Score(ids).Logprobs.Average(value => (double)value);
        Assert.AreEqual(expected.GetProperty("mean_nll").GetProperty("w4g64").GetDouble(), nll, 1e-4);

        int[] first = [.. Ints(expected.GetProperty("cases")[0].GetProperty("ids")).Take(8)];
        var actual = scorer.Logits(first);
        var rows = expected.GetProperty("logits_first_8").EnumerateArray().ToList();
        for (int t = 0; t < first.Length; t++)
        {
            double worst = rows[t].EnumerateArray().Zip(actual[t], (e, a) => Math.Abs(e.GetDouble() - a)).Max();
            Assert.IsTrue(worst <= 2e-4, $"position {t}: logits differ by {worst:E1}");
        }
    }

    [TestMethod]
    public void Quantize_Groups64_RecoversHalfOfWhatRoundingLoses()
    {
        var expected = Expected();
        int[] ids = Ints(expected.GetProperty("eval_ids_with_bos"));
        double exact = expected.GetProperty("mean_nll").GetProperty("fp32").GetDouble(), rounded = expected.GetProperty("mean_nll").GetProperty("w4g64").GetDouble();
        using TempFolder rtn = new(), awq = new();
        var options = new QuantizeOptions { Model = TestData.Shared("models", "stories260K"), Output = rtn.Path, Method = "rtn", GroupSize = 64, Device = "cpu" };
        ModelQuantizer.Run(options);
        ModelQuantizer.Run(options with { Output = awq.Path, Method = "awq", CalibrationSequences = 48, CalibrationLength = 256 });
        Assert.AreEqual(rounded, Nll(rtn.Path), 1e-4, "the other quantizer's");
        Assert.IsTrue(Nll(awq.Path) - exact <= (rounded - exact) / 2, $"{Nll(awq.Path)} between {exact} and {rounded}");

        double Nll(string folder)
        {
            using var llm = new LLM(new EngineOptions { Model = folder, Device = "cpu", DType = "float32", CpuActivations = "fp32" });
            return -new TokenScorer(llm).Score(ids).Logprobs.Average(value => (double)value);
        }
    }

    private static JsonElement Expected() => TestData.Json(TestData.Shared("vectors", "stories260K_awq_expected.json"));

    private static int[] Generate(LLM llm, int[] prompt, int maxTokens) =>
        [.. llm.Generate([(Prompt.FromTokens(prompt), (SamplingParams?)new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = maxTokens })])[0].Outputs[0].TokenIds];

    private static int[] Ints(JsonElement element) => [.. element.EnumerateArray().Select(v => v.GetInt32())];
}
