using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using IlgpuLlm.Bench.Plots;
using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Engine;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>
/// The seed's benchmark: one prompt some times in each precision, then the questions; its log, its quality_check.json, and a report with what it lacks.
/// </summary>
internal static class PrecisionRun
{
    /// <summary>The name in logs, where the seed's benchmark has that of the engine that it runs.</summary>
    public const string BenchmarkName = "IlgpuLlm";

    /// <summary>Runs it and writes all files. A precision that fails is reported, and the others still run.</summary>
    /// <param name="request">What is asked for.</param>
    /// <param name="model">The checkpoints.</param>
    /// <param name="options">The device.</param>
    /// <param name="echo">Gets the log's lines as well.</param>
    /// <param name="cancellationToken">Ends it; what was measured is in the log.</param>
    /// <returns>The report and its folder.</returns>
    /// <exception cref="IlgpuLlmException">Files cannot be read or written, or there is no such device.</exception>
    public static (BenchReport Report, string Folder) Run(PrecisionRequest request, BenchModel model, EngineOptions options, TextWriter echo,
        CancellationToken cancellationToken)
    {
        request.Validate();
        // All that can be wrong is found before a model is loaded.
        var questions = Question.Read(request.Questions);
        var truth = request.GroundTruth is { } file ? GroundTruth.Read(file, questions) : null;
        var start = DateTimeOffset.Now;
        double copy = CopyBandwidth.Measure(options);
        var folder = RunFolder.Create(request.LogsFolder, model.Name, start);
        using var log = new RunLog(folder.LogFile(request.LogFile), echo, TimeProvider.System);
        log.Info(string.Create(CultureInfo.InvariantCulture,
            $"Running benchmark with: max_tokens={request.MaxTokens} prompt={request.Prompt} repetitions={request.Repetitions} device={options.Device}"));
        long began = Stopwatch.GetTimestamp();
        var check = request.ChecksQuality ? new QualityCheck(questions, truth, model.Name, model.SystemIsUserTurn, request.Text) : null;
        var benchmark = new PrecisionBenchmark(request, check, copy, log);
        var precisions = model.Targets.Select(target => benchmark.Run(target, cancellationToken)).ToList();
        var info = benchmark.Info;
        var report = new BenchReport
        {
            Benchmark = BenchmarkName,
            ProgramVersion = typeof(LLM).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion,
            Started = start,
            DurationSeconds = Stopwatch.GetElapsedTime(began).TotalSeconds,
            Model = Model(model, info),
            Machine = Machine(options, info, copy),
            Settings = new SettingsReport(request.Prompt, request.Repetitions, request.MaxTokens, request.Temperature, request.IgnoreEos, request.BatchSizes,
                request.InputLen, request.OutputLen, request.Questions ?? Question.BuiltIn, request.GroundTruth),
            Precisions = precisions,
            Published = PublishedFigures.Of(model.Name),
        };
        WriteFigures(log, report);
        WriteFiles(log, report, folder);
        return (report, folder.FullPath);
    }

    private static ModelReport Model(BenchModel model, EngineInfo? info)
    {
        bool isRandom = model.Targets.Any(target => target.Options?.LoadFormat == "dummy");
        if (info is null)
            return new ModelReport(model.Name, "-", 0, 0, isRandom);
        return new ModelReport(model.Name, info.Config.Architecture, info.NumParameters, new StepTraffic(info).FlopsPerToken, isRandom);
    }

    private static MachineReport Machine(EngineOptions options, EngineInfo? info, double copy)
    {
        string description = info?.DeviceDescription ?? "-";
        var peak = DevicePeak.Of(description);
        return new MachineReport
        {
            Device = info?.Device ?? options.Device,
            DeviceDescription = description,
            OperatingSystem = RuntimeInformation.OSDescription,
            Runtime = RuntimeInformation.FrameworkDescription,
            NumCpuCores = Environment.ProcessorCount,
            CopyGigabytesPerSecond = copy,
            LimitGigabytesPerSecond = peak?.GigabytesPerSecond,
            PeakTeraflops = peak?.Teraflops,
        };
    }

    /// <summary>The lines that the seed's readers look for.</summary>
    private static void WriteFigures(RunLog log, BenchReport report)
    {
        string name = $"{report.Model.Name}-{report.Benchmark}";
        foreach (var precision in report.Precisions.Where(p => p.TokensPerSecond is not null))
            log.Info(SeedLines.Rate(name, precision));
        foreach (var precision in report.Precisions.Where(p => p.TokensPerSecond is not null))
            log.Info(SeedLines.Memory(name, precision));
    }

    private static void WriteFiles(RunLog log, BenchReport report, RunFolder folder)
    {
        log.Info("Writing the model completion for empirical tests");
        var quality = report.Precisions.Where(p => p.Quality is not null).Select(p => (p.Precision, p.Quality!)).ToList();
        QualityFiles.WriteJson(folder.File("quality_check.json"), quality);
        QualityFiles.WriteMarkdown(folder.File("quality.md"), report.Model.Name, quality);
        ReportJson.Write(report, folder.File("report.json"));
        HtmlReport.Write(report, folder.File("report.html"));
        if (SystemFont.Name is null)
            log.Info("This machine has no font, so plots are in report.html only, not in plots/*.png");
        else
            PlotFiles.WritePngs(report, folder.File("plots"));
        log.Info("Benchmarking Finished");
    }
}
