using System.Text.Json;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class QualityCommandTests
{
    private const string Questions = """[{"prompt": "Once upon a time", "max_tokens": 5, "temperature": 0, "expected": {"demo": "truth"}}]""";

    [TestMethod]
    public async Task Quality_OwnQuestions_PrintsAnObjectAPrecisionAndWritesFiles()
    {
        string folder = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;
        try
        {
            string questions = Path.Combine(folder, "questions.json"), output = Path.Combine(folder, "out");
            File.WriteAllText(questions, Questions);
            var result = await CommandLine.RunAsync("quality", "--device", "cpu", "--precisions", "float32,int8", "--questions", questions, "--output", output, "--json");
            Assert.AreEqual(0, result.ExitCode, result.Error);
            var rows = result.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
            CollectionAssert.AreEqual((string[])["float32", "int8"], rows.Select(r => r.GetProperty("precision").GetString()).ToArray());
            var quality = rows[0].GetProperty("quality");
            Assert.AreEqual((1, 100.0), (quality.GetProperty("exact_matches").GetInt32(), quality.GetProperty("top1_percent").GetDouble()));
            Assert.AreEqual("truth", quality.GetProperty("answers")[0].GetProperty("expected").GetString(), "the file's own answer");
            Assert.IsTrue(rows[1].GetProperty("quality").GetProperty("mean_kl").GetDouble() > 0);
            Assert.IsTrue(File.Exists(Path.Combine(output, "quality_check.json")) && File.Exists(Path.Combine(output, "quality.md")));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public async Task Quality_BadFiles_AreErrors()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "{");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--ground-truth", file)).AssertError(1, $"{file}: is not a ground truth");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--questions", file)).AssertError(1, $"{file}: is not a list of questions");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--text", "/none.txt")).AssertError(1, "/none.txt");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--output", file)).AssertError(1, $"{file}: cannot be written");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--output", Path.Combine(file, "folder"))).AssertError(1, "cannot be written");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--foo")).AssertError(2, "--foo");
            await File.WriteAllTextAsync(file, "");
            (await CommandLine.RunAsync("quality", "--device", "cpu", "--text", file)).AssertError(1, $"{file}: is empty");
            (await CommandLine.RunAsync("quality", "--device", "metal")).AssertError(1, "metal: is not supported");
        }
        finally
        {
            File.Delete(file);
        }
    }
}
