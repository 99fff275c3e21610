using System.Text.Json;
using IlgpuLlm.DemoModel;
using IlgpuLlm.Evaluation;
using IlgpuLlm.Kernels;
using IlgpuLlm.Quantization;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>The embedded demo model, a real trained one, against Transformers.</summary>
[TestClass]
public sealed class DemoModelTests
{
    private static readonly JsonElement Golden = TestData.Json(TestData.Committed("demo", "golden.json"));

    public static IEnumerable<object[]> Devices => GoldenDevice.IsCuda ? [["cpu"], [GoldenDevice.Ilgpu]] : [["cpu"]];

    [TestMethod]
    [DynamicData(nameof(Devices))]
    public void Greedy_AllPrompts_MatchTransformersTokenForToken(string device)
    {
        using var llm = new LLM(new EngineOptions { Device = device, DType = "float32" });
        var prompts = Golden.GetProperty("prompts").EnumerateArray().ToList();
        var sampling = new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = 64 };
        var outputs = llm.Generate(prompts.Select(p => (Prompt)p.GetProperty("text").GetString()!), sampling);
        for (int i = 0; i < prompts.Count; i++)
        {
            CollectionAssert.AreEqual(Ints(prompts[i], "ids"), outputs[i].PromptTokenIds.ToArray(), $"prompt {i}: tokens");
            CollectionAssert.AreEqual(Ints(prompts[i], "greedy"), outputs[i].Outputs[0].TokenIds.ToArray(), $"prompt {i}: greedy");
            Assert.AreEqual(prompts[i].GetProperty("greedy_text").GetString()!.Trim(), outputs[i].Outputs[0].Text.Trim(), $"prompt {i}: text");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Devices))]
    public void Logits_LastPosition_MatchTransformersTop20(string device)
    {
        using var llm = new LLM(new EngineOptions { Device = device, DType = "float32" });
        var scorer = new TokenScorer(llm);
        foreach (var prompt in Golden.GetProperty("prompts").EnumerateArray())
        {
            float[] last = scorer.Logits(Ints(prompt, "ids"))[^1];
            var top = prompt.GetProperty("top20_ids").EnumerateArray().Zip(prompt.GetProperty("top20_logits").EnumerateArray());
            foreach (var (id, logit) in top)
                Assert.AreEqual(logit.GetDouble(), last[id.GetInt32()], 1e-3, $"token {id}");
        }
    }

    [TestMethod]
    public void Logprobs_Passage_MatchTransformers()
    {
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32" });
        int[] ids = [llm.Tokenizer!.BosTokenId!.Value, .. Ints(Golden.GetProperty("passage"), "ids")];
        Assert.AreEqual(Golden.GetProperty("passage").GetProperty("logprob_fp32").GetDouble(), new TokenScorer(llm).Score(ids).Logprobs.Sum(value => (double)value), 0.02);
    }

    [TestMethod]
    [DataRow("float32", "ppl_fp32")]
    [DataRow("float16", "ppl_fp16")]
    public void Perplexity_HeldOutText_IsWithinATenthOfAPercent(string dtype, string expected)
    {
        double perplexity = Perplexity(new EngineOptions { DType = dtype }), reference = Golden.GetProperty("heldout").GetProperty(expected).GetDouble();
        Assert.IsTrue(Math.Abs(perplexity / reference - 1) < 1e-3, $"{perplexity} instead of {reference}");
    }

    [TestMethod]
    [DataRow("float32", "fp16")]
    [DataRow("float32", "int8")]
    [DataRow("float16", "int8")]
    public void Perplexity_KvCache_IsNearThatOfFloats(string dtype, string kvCacheDtype)
    {
        double perplexity = Perplexity(new EngineOptions { DType = dtype, KvCacheDtype = kvCacheDtype }), exact = Golden.GetProperty("heldout").GetProperty("ppl_fp32").GetDouble();
        Assert.IsTrue(Math.Abs(perplexity / exact - 1) < (kvCacheDtype == "int8" ? 2e-3 : 1e-4), $"{perplexity} instead of {exact}"); // int8 on the CPU: 0.9e-3 less
    }

    [TestMethod]
    public void Perplexity_Quantized_IsNearThatOfFloats()
    {
        using var rtn = new TempFolder();
        ModelQuantizer.Run(new QuantizeOptions { Output = rtn.Path, Method = "rtn", GroupSize = 64 });
        double exact = Golden.GetProperty("heldout").GetProperty("ppl_fp32").GetDouble();
        double eight = Perplexity(new EngineOptions { DType = "int8", CpuActivations = "fp32" }), awq = Perplexity(new EngineOptions { DType = "int4" });
        double rounded = Perplexity(new EngineOptions { Model = rtn.Path }), eightByEight = Perplexity(new EngineOptions { DType = "int8" });
        Assert.IsTrue(Math.Abs(eight / exact - 1) < 1e-3, $"int8: {eight} instead of {exact}");
        Assert.IsTrue(Math.Abs(eightByEight / exact - 1) < 2e-3, $"int8, activations rounded too: {eightByEight} instead of {exact}");
        Assert.IsTrue(awq / exact - 1 < 0.02, $"int4 by awq: {awq} instead of {exact}");
        Assert.IsTrue(awq < rounded, $"awq {awq}, rtn {rounded}, both in groups of 64");
    }

    [TestMethod]
    [DataRow("int4", "auto")]
    [DataRow("auto", "int4")]
    public void Load_Int4_IsTheEmbeddedVariant(string dtype, string quantization)
    {
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = dtype, Quantization = quantization });
        Assert.AreEqual(DemoModelFolder.Int4Path, llm.Info.ModelFolder);
        Assert.AreEqual(new QuantizationFormat(4, 64), llm.Info.Quantization);
        var output = llm.Generate("Once upon a time", new SamplingParams { Temperature = 0, MaxTokens = 24, IgnoreEos = true });
        Assert.AreEqual(24, output.Outputs[0].TokenIds.Count);
    }

    private static double Perplexity(EngineOptions options)
    {
        using var llm = new LLM(options with { Device = GoldenDevice.IsCuda ? GoldenDevice.Ilgpu : "cpu" });
        int[] ids = llm.Tokenizer!.Encode(File.ReadAllText(TestData.Committed("demo", "heldout.txt")), addSpecialTokens: false);
        var score = new TokenScorer(llm).ScoreText(ids, new ScoringWindows { Length = 512 });
        Assert.AreEqual(Golden.GetProperty("heldout").GetProperty("tokens").GetInt32(), score.NumTokens);
        return score.Perplexity;
    }

    private static int[] Ints(JsonElement element, string property) => [.. element.GetProperty(property).EnumerateArray().Select(v => v.GetInt32())];
}
