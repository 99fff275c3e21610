using System.Text.Json;
using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Tests.Loading;

namespace IlgpuLlm.Bench.Tests.Quality;

[TestClass]
public sealed class GroundTruthTests
{
    [TestMethod]
    public void Read_WhatTheToolWrites_GivesItBack()
    {
        using var folder = new TempFolder();
        string file = folder.Write("truth.json", JsonSerializer.Serialize(DemoTruth.Truth, ReportJson.Options));
        var truth = GroundTruth.Read(file, DemoTruth.Questions);
        CollectionAssert.AreEqual(DemoTruth.Truth.Answers[3].TokenIds.ToArray(), truth.To(DemoTruth.Questions[3]).TokenIds.ToArray());
    }

    [TestMethod]
    [DataRow("{", "is not a ground truth")]
    [DataRow("{}", "is not a ground truth")]
    [DataRow("""{"format": "other", "model": "m", "dtype": "float32", "transformers": "5", "answers": []}""", "format is \"other\"")]
    [DataRow("""{"format": "ilgpullm-ground-truth-1", "model": "m", "dtype": "float32", "transformers": "5", "answers": []}""", "has no answer to \"Why?\"")]
    [DataRow("""{"format": "ilgpullm-ground-truth-1", "model": "m", "dtype": "float32", "transformers": "5", "answers": [null]}""", "answer 1 has no tokens")]
    [DataRow("""{"format": "ilgpullm-ground-truth-1", "model": "m", "dtype": "float32", "transformers": "5", "answers": [{"question": "Why?", "prompt_token_ids": [1], "token_ids": [], "answer": ""}]}""",
        "answer 1 has no tokens")]
    [DataRow("""{"format": "ilgpullm-ground-truth-1", "model": "m", "dtype": "float32", "transformers": "5", "answers": [{"question": "Why?", "prompt_token_ids": [1]}]}""", "is not a ground truth")]
    public void Read_BrokenFile_SaysWhatIsWrong(string json, string problem)
    {
        using var folder = new TempFolder();
        string file = folder.Write("truth.json", json);
        var error = Assert.ThrowsExactly<BenchException>(() => GroundTruth.Read(file, [new Question("Why?", 1, 0, null)]));
        StringAssert.StartsWith(error.Message, file + ": ");
        StringAssert.Contains(error.Message, problem);
    }
}
