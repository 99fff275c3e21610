using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Bench.Tests.Quality;

[TestClass]
public sealed class QuestionTests
{
    [TestMethod]
    public void Read_NoFile_GivesTenQuestions()
    {
        var questions = Question.Read(null);
        Assert.AreEqual(10, questions.Count);
        Assert.AreEqual(10, questions.Select(q => q.Prompt).Distinct().Count());
    }

    [TestMethod]
    public void Read_SeedsFile_GivesItsQuestionsAndAnswers()
    {
        var questions = Question.Read(TestData.Shared("seed", "questions.json"));
        Assert.AreEqual((5, 120, 0.1f), (questions.Count, questions[0].MaxTokens, questions[0].Temperature));
        CollectionAssert.AreEquivalent((string[])["llama", "mistral"], questions[4].Expected!.Keys.ToArray());
    }

    [TestMethod]
    [DataRow("", "is not a list of questions")]
    [DataRow("null", "is null")]
    [DataRow("[]", "holds no question")]
    [DataRow("{}", "is not a list of questions")]
    [DataRow("[{}]", "question 1: prompt is missing or empty")]
    [DataRow("""[{"prompt": "a", "max_tokens": 1}, {"prompt": "b", "max_tokens": 0}]""", "question 2: max_tokens is 0")]
    [DataRow("""[{"prompt": "a", "max_tokens": "many"}]""", "is not a list of questions")]
    [DataRow("""[{"prompt": "a", "max_tokens": 1, "temperature": -1}]""", "temperature is -1")]
    [DataRow("""[{"prompt": "a", "max_tokens": 1, "temperature": "NaN"}]""", "temperature is NaN")]
    [DataRow("""[{"prompt": "a", "max_tokens": 1, "expected": 3}]""", "is not a list of questions")]
    public void Read_BrokenFile_SaysWhatIsWrong(string json, string problem)
    {
        using var folder = new TempFolder();
        string file = folder.Write("questions.json", json);
        var error = Assert.ThrowsExactly<BenchException>(() => Question.Read(file));
        StringAssert.StartsWith(error.Message, file + ": ");
        StringAssert.Contains(error.Message, problem);
    }

    [TestMethod]
    public void Read_FileThatIsNotThereOrNotUtf8_SaysSo()
    {
        using var folder = new TempFolder();
        StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => Question.Read(Path.Combine(folder.Path, "none.json"))).Message, "cannot be read");
        StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => Question.Read(folder.Write("latin.json", [0x22, 0xE9, 0x22]))).Message, "is not UTF-8");
    }
}
