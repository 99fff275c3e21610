using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using IlgpuLlm.Bench.Plots;
using IlgpuLlm.Bench.Precisions;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Bench.Tests.Precisions;

[TestClass]
public sealed partial class PrecisionRunTests
{
    private static readonly EngineOptions Cpu = new() { Device = "cpu" };

    private static readonly PrecisionRequest Small = new() { Repetitions = 3, MaxTokens = 8, BatchSizes = [1, 2], InputLen = 4, OutputLen = 4 };

    [TestMethod]
    public void Run_Demo_WritesAllFilesAndTheLogHasTheReportsFigures()
    {
        using var logs = new TempFolder();
        var echo = new StringWriter();
        using var model = ModelFinder.Find("demo", "none", false, Precision.All, Cpu);
        var (_, folder) = PrecisionRun.Run(Small with { LogsFolder = logs.Path }, model, Cpu, echo, default);
        StringAssert.Matches(folder, FolderName());
        string log = File.ReadAllText(Path.Combine(folder, "performance.log"));
        Assert.AreEqual(log, echo.ToString().ReplaceLineEndings("\n"));
        var report = ReportJson.Read(Path.Combine(folder, "report.json"));
        CollectionAssert.AreEqual(Precision.All.ToArray(), report.Precisions.Select(p => p.Precision).ToArray());
        foreach (var p in report.Precisions)
        {
            Assert.IsNull(p.Problem);
            string number(double value) => value.ToString("F2", CultureInfo.InvariantCulture);
            StringAssert.Contains(log, $" - INFO - demo-IlgpuLlm (token/sec), {p.Precision}: {number(p.TokensPerSecond!.Mean)} ± {number(p.TokensPerSecond.Std)}\n");
            StringAssert.Contains(log, $" - INFO - demo-IlgpuLlm (memory usage), {p.Precision}: {number(p.MemoryUsageMb)} MB\n");
            Assert.AreEqual(p.TokensPerSecond.Values.Average(), p.TokensPerSecond.Mean, 1e-9 * p.TokensPerSecond.Mean);
            Assert.AreEqual((3, 2, 2, 10), (p.TokensPerSecond.Values.Count, p.Single!.NumRepetitions, p.Batches.Count, p.Quality!.NumQuestions));
        }
        Assert.AreEqual(3 * 4, Repetition().Count(log));
        if (SystemFont.Name is null)
            StringAssert.Contains(log, "This machine has no font");
        else
            CollectionAssert.Contains(Directory.GetFiles(Path.Combine(folder, "plots")).Select(Path.GetFileName).ToArray(), "demo-decode-rate-by-batch.png");
        foreach (string line in log.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            StringAssert.Matches(line, LogLine());
    }

    [TestMethod]
    public void Run_Demo_WritesAnswersInTheSeedsForm()
    {
        using var logs = new TempFolder();
        using var model = ModelFinder.Find("demo", "none", false, ["float32"], Cpu);
        var (report, folder) = PrecisionRun.Run(Small with { LogsFolder = logs.Path, BatchSizes = [] }, model, Cpu, TextWriter.Null, default);
        var answers = TestData.Json(Path.Combine(folder, "quality_check.json")).GetProperty("float32");
        Assert.AreEqual(10, answers.GetArrayLength());
        CollectionAssert.AreEqual((string[])["question", "max_token", "temperature", "actual", "expected"], answers[0].EnumerateObject().Select(p => p.Name).ToArray());
        Assert.AreEqual(report.Precisions[0].Quality!.Answers[0].Actual, answers[0].GetProperty("actual").GetString());
        string markdown = File.ReadAllText(Path.Combine(folder, "quality.md"));
        StringAssert.Contains(markdown, "| Question | float32 | Ground Truth |");
        Assert.AreEqual(2 + 10, markdown.Split("\n\n")[1].Split('\n').Length, "a line a question, whatever the answers hold");
    }

    [TestMethod]
    public void Run_Report_LoadsNothingFromElsewhere()
    {
        using var logs = new TempFolder();
        using var model = ModelFinder.Find("demo", "none", false, ["float16", "int8"], Cpu);
        var (_, folder) = PrecisionRun.Run(Small with { LogsFolder = logs.Path, Prompt = "<script>alert(1)</script>" }, model, Cpu, TextWriter.Null, default);
        string html = File.ReadAllText(Path.Combine(folder, "report.html"));
        foreach (string loader in (string[])["<script", "<link", "<img", "src=", "@import"])
            Assert.IsFalse(html.Contains(loader, StringComparison.OrdinalIgnoreCase), loader);
        string[] ids = [.. Id().Matches(html).Select(match => match.Groups["id"].Value)];
        CollectionAssert.AllItemsAreUnique(ids, "drawings must not use each other's parts");
        foreach (Match reference in Reference().Matches(html))
            CollectionAssert.Contains(ids, reference.Groups["id"].Value);
        Assert.AreEqual(html.Split("url(").Length, Reference().Count(html) + 1, "references are to the page's own parts");
        StringAssert.Contains(html, "prefers-color-scheme: dark");
        Assert.AreEqual(6, html.Split("<svg").Length - 1, "rates, batches, roofline, latencies, quality, memory");
        foreach (string unit in (string[])["tokens/s", "(ms)", "TFLOP/s", "(FLOP/byte)", "share (%)", "memory (GB)"])
            StringAssert.Contains(html, $">{unit}</text>".Replace(">(", "(", StringComparison.Ordinal));
    }

    [TestMethod]
    public void Run_PrecisionWithoutFolder_IsReportedAndTheOthersRun()
    {
        using var work = new TempFolder();
        CopyDemo(Path.Combine(work.Path, "models", "llama-2-7b-chat-hf"));
        using var model = ModelFinder.Find("llama", Path.Combine(work.Path, "models"), false, ["float16", "int4"], Cpu);
        var echo = new StringWriter();
        var (report, _) = PrecisionRun.Run(Small with { LogsFolder = work.Path, ChecksQuality = false, BatchSizes = [] }, model, Cpu, echo, default);
        Assert.IsNotNull(report.Precisions[0].TokensPerSecond);
        StringAssert.Contains(report.Precisions[1].Problem, "llama-2-7b-chat-autoawq: no such folder");
        StringAssert.Contains(echo.ToString(), " - ERROR - int4 is left out: ");
        Assert.AreEqual(3, report.Published.Count, "what vLLM's authors published stands beside it");
    }

    [TestMethod]
    public void Run_BrokenCheckpoint_IsReportedAndTheOthersRun()
    {
        using var work = new TempFolder();
        CopyDemo(Path.Combine(work.Path, "llama-2-7b-chat-hf"));
        string awq = Directory.CreateDirectory(Path.Combine(work.Path, "llama-2-7b-chat-autoawq")).FullName;
        using var model = ModelFinder.Find("llama", work.Path, false, ["float32", "int4"], Cpu);
        var (report, _) = PrecisionRun.Run(Small with { LogsFolder = work.Path, ChecksQuality = false, BatchSizes = [] }, model, Cpu, TextWriter.Null, default);
        Assert.IsNull(report.Precisions[0].Problem);
        StringAssert.Contains(report.Precisions[1].Problem, awq);
        Assert.AreEqual(awq, report.Precisions[1].Folder);
    }

    [TestMethod]
    public void Run_QuestionThatDoesNotFit_LeavesTheOtherFigures()
    {
        using var work = new TempFolder();
        string questions = work.Write("questions.json", $$"""[{"prompt": "{{new string('x', 5000)}}", "max_tokens": 5, "temperature": 0}]""");
        using var model = ModelFinder.Find("demo", "none", false, ["float32", "float16"], Cpu);
        var (report, _) = PrecisionRun.Run(Small with { LogsFolder = work.Path, Questions = questions, BatchSizes = [] }, model, Cpu, TextWriter.Null, default);
        foreach (var precision in report.Precisions)
        {
            Assert.IsTrue(precision.TokensPerSecond!.Mean > 0);
            StringAssert.Contains(precision.QualityProblem, "max-model-len");
        }
    }

    [TestMethod]
    public void Run_LogThatCannotBeWritten_FailsBeforeAModelIsLoaded()
    {
        using var work = new TempFolder();
        string file = work.Write("file", "");
        using var model = ModelFinder.Find("demo", "none", false, ["float32"], Cpu);
        var folderError = Assert.ThrowsExactly<BenchException>(() => PrecisionRun.Run(Small with { LogsFolder = file }, model, Cpu, TextWriter.Null, default));
        StringAssert.Contains(folderError.Message, "the folder of the logs cannot be written");
        var logError = Assert.ThrowsExactly<BenchException>(() =>
            PrecisionRun.Run(Small with { LogsFolder = work.Path, LogFile = Path.Combine(file, "a.log") }, model, Cpu, TextWriter.Null, default));
        StringAssert.Contains(logError.Message, "the log cannot be written");
    }

    [TestMethod]
    public void Run_LogFileWithoutFolder_LiesInTheFolderOfTheRun()
    {
        using var work = new TempFolder();
        using var model = ModelFinder.Find("demo", "none", false, ["float16"], Cpu);
        var (_, folder) = PrecisionRun.Run(Small with { LogsFolder = work.Path, LogFile = "my.log", ChecksQuality = false, BatchSizes = [] }, model, Cpu, TextWriter.Null, default);
        StringAssert.Contains(File.ReadAllText(Path.Combine(folder, "my.log")), "Benchmarking Finished");
        Assert.IsFalse(File.Exists(Path.Combine(folder, "performance.log")));
    }

    [TestMethod]
    public void Validate_NumbersOutOfRange_AreRefused()
    {
        foreach (var (request, problem) in (List<(PrecisionRequest, string)>)
        [
            (Small with { Repetitions = 0 }, "repetitions: 0"), (Small with { MaxTokens = 0 }, "max_tokens: 0"), (Small with { Temperature = float.NaN }, "temperature: NaN"),
            (Small with { BatchSizes = [1, 0] }, "batch-sizes: 0"), (Small with { InputLen = 0 }, "input-len: 0"), (Small with { OutputLen = 1 }, "output-len: 1"),
        ])
            StringAssert.Contains(Assert.ThrowsExactly<InvalidOptionException>(request.Validate).Message, problem);
    }

    private static void CopyDemo(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(DemoModel.DemoModelFolder.FullPath))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
    }

    [GeneratedRegex(" id=\"(?<id>[^\"]*)\"")]
    private static partial Regex Id();

    [GeneratedRegex(@"url\(#(?<id>[^)]*)\)")]
    private static partial Regex Reference();

    [GeneratedRegex(@"demo.IlgpuLlm-\d{4}-\d\d-\d\d \d\d.\d\d.\d\d\.\d{6}$")]
    private static partial Regex FolderName();

    [GeneratedRegex(@"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (INFO|ERROR) - \S")]
    private static partial Regex LogLine();

    [GeneratedRegex(@"Running repetition \[\d/3\]")]
    private static partial Regex Repetition();
}
