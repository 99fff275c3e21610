using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Engine;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>What the seed's figure hides, of its own repetitions.</summary>
internal static class SingleFigures
{
    /// <param name="runs">The repetitions, at least one; the first is left out where there are others.</param>
    /// <param name="info">What ran.</param>
    /// <param name="copyGigabytesPerSecond">The device's <see cref="CopyBandwidth"/>.</param>
    public static SingleReport Of(IReadOnlyList<TimedGeneration> runs, EngineInfo info, double copyGigabytesPerSecond)
    {
        var warm = runs.Count > 1 ? runs.Skip(1).ToList() : [.. runs];
        double ttft = Statistics.Median(warm.Select(run => run.TimeToFirstTokenSeconds));
        long numDecoded = warm.Sum(run => (long)run.InterTokenSeconds.Count);
        double decodeSeconds = warm.Sum(run => run.InterTokenSeconds.Sum());
        var traffic = new StepTraffic(info);
        double bytes = traffic.WeightBytes(numDecoded)
            + warm.Sum(run => traffic.DecodeKvBytes(run.NumPromptTokens, run.NumPromptTokens + run.InterTokenSeconds.Count));
        double? gigabytes = numDecoded == 0 ? null : bytes / decodeSeconds / 1e9;
        double? limit = DevicePeak.Of(info.DeviceDescription)?.GigabytesPerSecond;
        double seedRate = Statistics.Mean([.. runs.Select(run => run.TokensPerSecond)]);
        return new SingleReport
        {
            NumRepetitions = warm.Count,
            IsWarm = runs.Count > 1,
            NumPromptTokens = runs[0].NumPromptTokens,
            MeanTokens = Statistics.Mean([.. warm.Select(run => (double)run.NumTokens)]),
            TtftMs = 1000 * ttft,
            FirstTtftMs = 1000 * runs[0].TimeToFirstTokenSeconds,
            PrefillTokensPerSecond = runs[0].NumPromptTokens / ttft,
            DecodeTokensPerSecond = numDecoded == 0 ? null : numDecoded / decodeSeconds,
            InterTokenMs = numDecoded == 0 ? null : LatencyPercentiles.OfSeconds(warm.SelectMany(run => run.InterTokenSeconds)),
            DecodeGigabytesPerSecond = gigabytes,
            PercentOfCopy = 100 * gigabytes / copyGigabytesPerSecond,
            PercentOfLimit = 100 * gigabytes / limit,
            SeedPercentOfLimit = 100 * seedRate * info.WeightBytesPerStep / 1e9 / limit,
            WeightBytesPerStep = info.WeightBytesPerStep,
        };
    }
}
