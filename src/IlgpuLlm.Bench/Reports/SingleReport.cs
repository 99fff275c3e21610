using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Bench.Reports;

/// <summary>One request at a time, warm: the first repetition is left out where there are others.</summary>
internal sealed record SingleReport
{
    /// <summary>Repetitions that count.</summary>
    public required int NumRepetitions { get; init; }

    /// <summary>Whether the first repetition was left out as warm-up.</summary>
    public required bool IsWarm { get; init; }

    public required int NumPromptTokens { get; init; }

    /// <summary>New tokens of each repetition, a mean.</summary>
    public required double MeanTokens { get; init; }

    /// <summary>Time to the first token, a median.</summary>
    public required double TtftMs { get; init; }

    /// <summary>The first repetition's, with everything that only the first one does.</summary>
    public required double FirstTtftMs { get; init; }

    public required double PrefillTokensPerSecond { get; init; }

    /// <summary>Tokens after the first over the time from the first to the last; null, as all that is about decode, where there was but one token.</summary>
    public required double? DecodeTokensPerSecond { get; init; }

    /// <summary>Between tokens.</summary>
    public required LatencyPercentiles? InterTokenMs { get; init; }

    /// <summary>Weights, keys and values that decode must read.</summary>
    public required double? DecodeGigabytesPerSecond { get; init; }

    /// <summary>That as a share of the measured copy.</summary>
    public required double? PercentOfCopy { get; init; }

    /// <summary>That as a share of the data sheet's bandwidth; null where it is not known.</summary>
    public required double? PercentOfLimit { get; init; }

    /// <summary>The weights that the seed's rate reads, as a share of the data sheet's bandwidth, to compare cards; null where it is not known.</summary>
    public required double? SeedPercentOfLimit { get; init; }

    /// <summary>Bytes of weights that a step reads.</summary>
    public required long WeightBytesPerStep { get; init; }
}

/// <summary>Percentiles of a latency, in ms.</summary>
internal sealed record LatencyPercentiles(double Mean, double P50, double P95, double P99)
{
    public static LatencyPercentiles OfSeconds(IEnumerable<double> seconds)
    {
        double[] ms = [.. seconds.Select(s => 1000 * s)];
        return new(Statistics.Mean(ms), Statistics.Percentile(ms, 50), Statistics.Percentile(ms, 95), Statistics.Percentile(ms, 99));
    }
}
