using System.Text.Json.Serialization;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Benchmarking;

/// <summary>What one batch took, medians over the repetitions. GB/s are of weights (embedding table excluded), keys and values that must be read.</summary>
public sealed record LatencyResult
{
    /// <summary>Sequences.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Prompt tokens of each.</summary>
    public required int InputLen { get; init; }

    /// <summary>New tokens of each.</summary>
    public required int OutputLen { get; init; }

    /// <summary>Prompt tokens of all over the time until the last sequence's first token.</summary>
    public required double PrefillTokensPerSecond { get; init; }

    /// <summary>That time.</summary>
    public required double TimeToFirstTokenMs { get; init; }

    /// <summary>Multiplications and additions over that time.</summary>
    public required double PrefillTeraflops { get; init; }

    /// <summary>Bytes read over that time.</summary>
    public required double PrefillGigabytesPerSecond { get; init; }

    /// <summary>Those as a share of the copy bandwidth.</summary>
    public double PrefillPercentOfCopy => 100 * PrefillGigabytesPerSecond / CopyGigabytesPerSecond;

    /// <summary>Tokens over the time, while all sequences decode: from the last one's first token to the first one's last.</summary>
    public required double DecodeTokensPerSecond { get; init; }

    /// <summary>That time over the number of steps in it.</summary>
    public required double StepMs { get; init; }

    /// <summary>Weights read over that time.</summary>
    public required double WeightGigabytesPerSecond { get; init; }

    /// <summary>Keys and values read over that time.</summary>
    public required double KvGigabytesPerSecond { get; init; }

    /// <summary>Both.</summary>
    public double DecodeGigabytesPerSecond => WeightGigabytesPerSecond + KvGigabytesPerSecond;

    /// <summary>Both as a share of the copy bandwidth.</summary>
    public double DecodePercentOfCopy => 100 * DecodeGigabytesPerSecond / CopyGigabytesPerSecond;

    /// <summary>
    /// The device's time between the end of a decode step's graph and the beginning of the next one's, a mean over all such pairs: copies of inputs and tokens,
    /// and all of the host's work that is not hidden behind the device's. Null on a device that does not run beside its host.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? UnhiddenHostMs { get; init; }

    /// <summary>That as a share of the time from one graph's end to the next one's.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? UnhiddenHostPercent { get; init; }

    /// <summary>The device's measured copy bandwidth, read and written bytes.</summary>
    public required double CopyGigabytesPerSecond { get; init; }
}

/// <summary>One batch of random prompts, all at once, greedy, end-of-sequence ignored.</summary>
public static class LatencyBenchmark
{
    /// <summary>Runs it.</summary>
    /// <param name="llm">The engine.</param>
    /// <param name="batchSize">Sequences, at least 1.</param>
    /// <param name="inputLen">Prompt tokens of each, at least 1.</param>
    /// <param name="outputLen">New tokens of each, at least 2.</param>
    /// <param name="numItersWarmup">Runs that do not count.</param>
    /// <param name="numIters">Runs that count.</param>
    /// <param name="copyGigabytesPerSecond">The device's <see cref="CopyBandwidth"/>.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidOptionException">A number is out of range.</exception>
    /// <exception cref="InvalidRequestException">The engine cannot hold such sequences.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static LatencyResult Run(LLM llm, int batchSize, int inputLen, int outputLen, int numItersWarmup, int numIters, double copyGigabytesPerSecond,
        CancellationToken cancellationToken = default)
    {
        BenchmarkRun.AtLeast("batch-size", batchSize, 1);
        BenchmarkRun.AtLeast("input-len", inputLen, 1);
        BenchmarkRun.AtLeast("output-len", outputLen, 2);
        BenchmarkRun.AtLeast("num-iters-warmup", numItersWarmup, 0);
        BenchmarkRun.AtLeast("num-iters", numIters, 1);
        var timer = llm.Core.ModelRunner.TimeSteps();
        for (int i = 0; i < numItersWarmup; i++)
            RunOnce(llm, batchSize, inputLen, outputLen, cancellationToken);
        timer?.Take(); // forgets those
        var runs = Enumerable.Range(0, numIters).Select(_ => RunOnce(llm, batchSize, inputLen, outputLen, cancellationToken)).ToList();
        double prefill = Statistics.Median(runs.Select(r => r.Prefill)), step = Statistics.Median(runs.Select(r => r.Step));
        (double Ms, double Percent)? host = timer is null ? null : Unhidden(timer.Take(), batchSize);
        var traffic = new StepTraffic(llm.Info);
        double prefillBytes = traffic.WeightBytes(NumPrefillSteps(batchSize, inputLen, llm.Info.Memory.MaxNumBatchedTokens)) + batchSize * traffic.PrefillKvBytes(inputLen);
        double kvBytesPerStep = batchSize * traffic.DecodeKvBytes(inputLen, inputLen + outputLen - 1) / (outputLen - 1);
        return new LatencyResult
        {
            BatchSize = batchSize,
            InputLen = inputLen,
            OutputLen = outputLen,
            PrefillTokensPerSecond = (double)batchSize * inputLen / prefill,
            TimeToFirstTokenMs = prefill * 1e3,
            PrefillTeraflops = batchSize * traffic.PrefillFlops(inputLen) / prefill / 1e12,
            PrefillGigabytesPerSecond = prefillBytes / prefill / 1e9,
            DecodeTokensPerSecond = batchSize / step,
            StepMs = step * 1e3,
            WeightGigabytesPerSecond = traffic.WeightBytes(1) / step / 1e9,
            KvGigabytesPerSecond = kvBytesPerStep / step / 1e9,
            UnhiddenHostMs = host?.Ms,
            UnhiddenHostPercent = host?.Percent,
            CopyGigabytesPerSecond = copyGigabytesPerSecond,
        };
    }

    /// <summary>The device's idle time a step, in ms and in percent of the step, over the steps of all sequences; null where none followed another.</summary>
    internal static (double Ms, double Percent)? Unhidden(IEnumerable<StepTime> times, int batchSize)
    {
        StepTime[] full = [.. times.Where(time => time.NumSeqs == batchSize)];
        return full.Length == 0 ? null : (full.Average(time => time.IdleMs), 100 * full.Sum(time => time.IdleMs) / full.Sum(time => time.StepMs));
    }

    private static (double Prefill, double Step) RunOnce(LLM llm, int batchSize, int inputLen, int outputLen, CancellationToken cancellationToken)
    {
        var outputs = BenchmarkRun.Generate(llm, batchSize, inputLen, outputLen, cancellationToken);
        double lastFirst = outputs.Max(o => o.Metrics.FirstTokenTime), firstLast = outputs.Min(o => o.Metrics.LastTokenTime);
        // Where prefill takes several steps, early sequences decode while others are still in prefill: of these steps the decode figure does not tell.
        int numGroups = outputs.Select(o => o.Metrics.FirstTokenTime).Distinct().Count();
        long budget = llm.Info.Memory.MaxNumBatchedTokens;
        long numMixedSteps = numGroups == 1 ? 0 : Math.Max(numGroups - 1, NumPrefillSteps(batchSize, inputLen, budget) - NumPrefillSteps(1, inputLen, budget));
        long numFullSteps = outputLen - 1 - numMixedSteps;
        if (numFullSteps < 1 || firstLast <= lastFirst)
        {
            throw new InvalidOptionException("output-len",
                $"{outputLen} is too short: no step decodes all {batchSize} sequences; raise it, max-num-batched-tokens ({budget}) or max-num-seqs");
        }
        return (lastFirst - outputs[0].Metrics.ArrivalTime, (firstLast - lastFirst) / numFullSteps);
    }

    private static long NumPrefillSteps(long batchSize, int inputLen, long budget) => (batchSize * inputLen + budget - 1) / budget;
}
