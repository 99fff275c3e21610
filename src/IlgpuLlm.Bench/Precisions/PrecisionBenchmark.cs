using System.Globalization;
using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Engine;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>Measures one precision after the other, each in an engine of its own.</summary>
/// <param name="request">What is asked for.</param>
/// <param name="check">The questions; null: they are not asked.</param>
/// <param name="copyGigabytesPerSecond">The device's <see cref="CopyBandwidth"/>.</param>
/// <param name="log">Told what happens.</param>
internal sealed class PrecisionBenchmark(PrecisionRequest request, QualityCheck? check, double copyGigabytesPerSecond, RunLog log)
{
    private const int NumBatchIters = 2;

    /// <summary>What ran last; null: nothing yet.</summary>
    public EngineInfo? Info { get; private set; }

    /// <summary>Measures a precision; what goes wrong is in the report.</summary>
    /// <param name="target">The checkpoint.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public PrecisionReport Run(PrecisionTarget target, CancellationToken cancellationToken)
    {
        var report = new PrecisionReport { Precision = target.Precision, Folder = target.Folder };
        string? problem = target.Try(options => report = Measure(options, report, cancellationToken), log.Error);
        return report with { Problem = problem };
    }

    private PrecisionReport Measure(EngineOptions options, PrecisionReport report, CancellationToken cancellationToken)
    {
        log.Info($"Running {PrecisionRun.BenchmarkName} benchmark in {report.Precision} precision");
        using var peak = new PeakMemory();
        using var llm = new LLM(options);
        Info = llm.Info;
        peak.Follow(llm);
        var runs = Repeat(llm, peak, cancellationToken);
        long peakBytes = peak.Bytes;
        var memory = llm.Info.Memory;
        report = report with
        {
            LoadSeconds = llm.Info.LoadSeconds,
            TokensPerSecond = SeedRate.Of([.. runs.Select(run => run.TokensPerSecond)]),
            MemoryUsageMb = peakBytes / 1e6,
            Memory = new MemoryReport(memory.WeightBytes, memory.WorkspaceBytes, memory.KvCacheBytes, peakBytes),
            Single = SingleFigures.Of(runs, llm.Info, copyGigabytesPerSecond),
            Batches = [.. request.BatchSizes.Select(batchSize => Batch(llm, batchSize, cancellationToken)).OfType<LatencyResult>()],
        };
        return check is null ? report : AskQuestions(llm, check, report, cancellationToken);
    }

    /// <summary>Adds the quality. What goes wrong there leaves the other figures as they are.</summary>
    private PrecisionReport AskQuestions(LLM llm, QualityCheck check, PrecisionReport report, CancellationToken cancellationToken)
    {
        log.Info("=> Running quality checks for LLM");
        try
        {
            return report with { Quality = check.Run(llm, report.Precision, cancellationToken) };
        }
        catch (IlgpuLlmException e) when (e is not EngineDeadException)
        {
            log.Error($"{report.Precision}: the quality check failed: {e.Message}");
            return report with { QualityProblem = e.Message };
        }
    }

    private List<TimedGeneration> Repeat(LLM llm, PeakMemory peak, CancellationToken cancellationToken)
    {
        string prompt = QualityPrompts.OfBenchmark(llm, request.Prompt);
        int width = request.Repetitions.ToString(CultureInfo.InvariantCulture).Length;
        List<TimedGeneration> runs = [];
        for (int i = 0; i < request.Repetitions; i++)
        {
            log.Info(string.Create(CultureInfo.InvariantCulture, $"Running repetition [{(i + 1).ToString(CultureInfo.InvariantCulture).PadLeft(width, '0')}/{request.Repetitions}]"));
            var sampling = new SamplingParams { Temperature = request.Temperature, MaxTokens = request.MaxTokens, IgnoreEos = request.IgnoreEos, Seed = i };
            runs.Add(TimedGeneration.Run(llm, Prompt.FromText(prompt), sampling, cancellationToken));
            peak.Sample();
        }
        return runs;
    }

    /// <summary>A batch of random prompts; null where the engine has no room for it.</summary>
    private LatencyResult? Batch(LLM llm, int batchSize, CancellationToken cancellationToken)
    {
        try
        {
            return LatencyBenchmark.Run(llm, batchSize, request.InputLen, request.OutputLen, numItersWarmup: 1, NumBatchIters, copyGigabytesPerSecond, cancellationToken);
        }
        catch (IlgpuLlmException e) when (e is InvalidOptionException or InvalidRequestException)
        {
            log.Error(string.Create(CultureInfo.InvariantCulture, $"a batch of {batchSize} is left out: {e.Message}"));
            return null;
        }
    }
}
