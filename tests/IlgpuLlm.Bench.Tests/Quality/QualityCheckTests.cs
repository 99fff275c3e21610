using IlgpuLlm.Bench.Quality;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Bench.Tests.Quality;

[TestClass]
public sealed class QualityCheckTests
{
    private const string Text = "There was once a king who had three daughters, and the youngest was the fairest of them all.";

    [TestMethod]
    public void Run_Float32AgainstHuggingFace_IsTokenForTokenEqual()
    {
        var check = new QualityCheck(DemoTruth.Questions, DemoTruth.Truth, "demo", systemIsUserTurn: false, Text);
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32" });
        var report = check.Run(llm, "float32", default);
        Assert.AreEqual((DemoTruth.Questions.Count, DemoTruth.Questions.Count), (report.ExactMatches, report.NumQuestions));
        Assert.AreEqual((100.0, 100.0, 0), (report.TokenMatchPercent, report.Top1Percent, report.NumPromptsThatDiffer));
        Assert.IsNull(report.MeanKl, "the first precision is what the others are compared with");
        StringAssert.Contains(report.Reference, "Hugging Face");
        Assert.AreEqual(DemoTruth.Truth.Answers[0].Answer.Trim(), report.Answers[0].Greedy.Trim());
        Assert.IsTrue(report.TextPerplexity is > 1 and < 100 && report.NumTextTokens > 10, $"{report.TextPerplexity}, {report.NumTextTokens} tokens");
    }

    [TestMethod]
    public void Run_AnswerThatDiffersAtAToken_CountsTheTokensBeforeIt()
    {
        var question = DemoTruth.Questions[0];
        var answer = DemoTruth.Truth.To(question);
        int[] altered = [.. answer.TokenIds];
        altered[5] = altered[5] == 100 ? 101 : 100;
        var truth = DemoTruth.Truth with { Answers = [answer with { TokenIds = altered }] };
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32" });
        var report = new QualityCheck([question], truth, "demo", false, Text).Run(llm, "float32", default);
        Assert.AreEqual((0, 5.0), (report.ExactMatches, report.MeanMatchTokens));
        Assert.AreEqual(100.0 * 5 / altered.Length, report.TokenMatchPercent, 1e-9);
        Assert.IsTrue(report.Top1Percent is > 50 and < 100, $"{report.Top1Percent}: one difference does not spoil what follows");
    }

    [TestMethod]
    [DataRow(-1)]
    [DataRow(4096)]
    public void Run_TruthOfAnotherVocabulary_IsRefusedByItsName(int token)
    {
        var answer = DemoTruth.Truth.To(DemoTruth.Questions[0]);
        using var llm = new LLM(new EngineOptions { Device = "cpu" });
        foreach (var broken in (GroundTruthAnswer[])[answer with { TokenIds = [5, token] }, answer with { PromptTokenIds = [token] }])
        {
            var check = new QualityCheck([DemoTruth.Questions[0]], DemoTruth.Truth with { Answers = [broken] }, "demo", false, Text);
            StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => check.Run(llm, "float32", default)).Message,
                $"ground truth: answer 1 has token id {token}; the model's vocab_size is 4096");
        }
    }

    [TestMethod]
    public void Run_PromptTokensUnlikeOurs_AreCountedAndUsed()
    {
        var question = DemoTruth.Questions[0];
        var answer = DemoTruth.Truth.To(question);
        var truth = DemoTruth.Truth with { Answers = [answer with { PromptTokenIds = [.. answer.PromptTokenIds.Skip(1)] }] };
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32" });
        var report = new QualityCheck([question], truth, "demo", false, Text).Run(llm, "float32", default);
        Assert.AreEqual(1, report.NumPromptsThatDiffer);
        Assert.AreNotEqual(1, report.ExactMatches, "without its BOS token the model goes on differently");
    }

    [TestMethod]
    public void Run_ModelWithoutTokenizer_UsesTheGroundTruthsTokens()
    {
        string folder = TestData.Committed("zoo", "llama-gqa");
        var prompts = TestData.Json(Path.Combine(folder, "golden.json")).GetProperty("prompts").EnumerateArray()
            .Where(p => p.TryGetProperty("greedy_min_gap", out var gap) && gap.GetDouble() > 1e-3).ToList();
        Assert.IsTrue(prompts.Count >= 2);
        var answers = prompts.Select((p, i) => new GroundTruthAnswer($"{i}", DemoTruth.Ids(p, "ids"), DemoTruth.UntilEos(DemoTruth.Ids(p, "greedy")), "")).ToList();
        var questions = answers.Select(a => new Question(a.Question, a.TokenIds.Count, 0, null)).ToList();
        using var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32", Model = folder });
        var report = new QualityCheck(questions, new GroundTruth(GroundTruth.ExpectedFormat, folder, "float32", "5", answers), "zoo", false, Text).Run(llm, "float32", default);
        Assert.AreEqual((answers.Count, 100.0), (report.ExactMatches, report.Top1Percent));
        Assert.AreEqual($"[{string.Join(',', answers[0].TokenIds)}]", report.Answers[0].Actual, "tokens are shown where there are no texts");
        Assert.IsNull(report.TextPerplexity);
        StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => new QualityCheck(questions, null, "zoo", false, Text).Run(llm, "float32", default)).Message, "has no tokenizer");
    }

    [TestMethod]
    public void Run_SecondPrecision_DivergesFromTheFirst()
    {
        var questions = DemoTruth.Questions.Take(2).ToList();
        var check = new QualityCheck(questions, null, "demo", false, Text);
        QualityReport first, half, int4;
        using (var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float32" }))
            first = check.Run(llm, "float32", default);
        using (var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float16" }))
            half = check.Run(llm, "float16", default);
        using (var llm = new LLM(new EngineOptions { Device = "cpu", DType = "float16", Quantization = "int4" }))
            int4 = check.Run(llm, "int4", default);
        Assert.AreEqual((2, 100.0, "float32 of this run"), (first.ExactMatches, first.Top1Percent, first.Reference));
        Assert.AreEqual("float32 of this run", half.KlReference);
        Assert.IsTrue(half.MeanKl is >= 0 and < 1e-4, $"{half.MeanKl}");
        Assert.IsTrue(int4.MeanKl is > 1e-3 && int4.MaxKl >= int4.MeanKl, $"{int4.MeanKl}, {int4.MaxKl}");
        Assert.IsTrue(int4.Top1Percent < 100 && int4.ReferencePerplexity > first.ReferencePerplexity, $"{int4.Top1Percent}, {int4.ReferencePerplexity}");
    }
}
