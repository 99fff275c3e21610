using IlgpuLlm.Bench.Quality;
using IlgpuLlm.DemoModel;
using IlgpuLlm.Tests.Loading;

namespace IlgpuLlm.Bench.Tests.Quality;

[TestClass]
public sealed class QualityPromptsTests
{
    private const string Template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

    [TestMethod]
    public void OfQuestion_WithTemplate_HasSystemTextAsTheSeedHasIt()
    {
        using var folder = new TempFolder();
        using var llm = WithTemplate(folder);
        const string system = "You answers should always be to the point, precise and not more than 2 sentences strictly";
        Assert.AreEqual($"<s>[system]{system}[user]Why?", QualityPrompts.OfQuestion(llm, "Why?", systemIsUserTurn: false).Text);
        var mistral = QualityPrompts.OfQuestion(llm, "Why?", systemIsUserTurn: true);
        Assert.AreEqual($"<s>[user]{system}[assistant]Sure, noted.[user]Why?", mistral.Text);
        Assert.AreEqual(1, mistral.TokenIds!.Count(id => id == 1), "one BOS token");
    }

    [TestMethod]
    public void OfBenchmark_WithTemplate_LeavesBosToTheTokenizer()
    {
        using var folder = new TempFolder();
        using var llm = WithTemplate(folder);
        Assert.AreEqual("[user]Why?", QualityPrompts.OfBenchmark(llm, "Why?"));
    }

    [TestMethod]
    public void Prompts_WithoutTemplate_AreTheQuestionAlone()
    {
        using var llm = new LLM(new EngineOptions { Device = "cpu" });
        Assert.AreEqual(("Why?", "Why?"), (QualityPrompts.OfQuestion(llm, "Why?", false).Text, QualityPrompts.OfBenchmark(llm, "Why?")));
    }

    private static LLM WithTemplate(TempFolder folder)
    {
        foreach (string file in (string[])["config.json", "tokenizer.json", "tokenizer_config.json"])
            File.Copy(Path.Combine(DemoModelFolder.FullPath, file), Path.Combine(folder.Path, file));
        folder.Write("chat_template.jinja", Template);
        return new LLM(new EngineOptions { Device = "cpu", Model = folder.Path, LoadFormat = "dummy" });
    }
}
