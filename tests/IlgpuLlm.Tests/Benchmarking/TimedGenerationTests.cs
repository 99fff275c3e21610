using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Tests.Benchmarking;

[TestClass]
public sealed class TimedGenerationTests
{
    [TestMethod]
    public void Run_Prompt_TimesEveryToken()
    {
        using var llm = new LLM(new EngineOptions { Device = "cpu" });
        var run = TimedGeneration.Run(llm, "Once upon a time", new SamplingParams { Temperature = 0, MaxTokens = 9, IgnoreEos = true });
        Assert.AreEqual((5, 9, 8), (run.NumPromptTokens, run.NumTokens, run.InterTokenSeconds.Count));
        Assert.IsTrue(run.InterTokenSeconds.All(seconds => seconds >= 0));
        double known = run.TimeToFirstTokenSeconds + run.InterTokenSeconds.Sum();
        Assert.IsTrue(run.TimeToFirstTokenSeconds > 0 && known <= run.Seconds, $"{known} of {run.Seconds} s: tokenizing comes before the request arrives");
        Assert.AreEqual(9 / run.Seconds, run.TokensPerSecond);
    }
}
