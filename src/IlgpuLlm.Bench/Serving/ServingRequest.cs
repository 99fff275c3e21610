using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Bench.Serving;

/// <summary>When requests come.</summary>
internal enum ArrivalDistribution
{
    /// <summary>Independently of each other.</summary>
    Poisson,

    /// <summary>With gamma-distributed gaps, whose shape is the burstiness.</summary>
    Gamma,

    /// <summary>One like the other.</summary>
    Constant,
}

/// <summary>What <c>bench serve</c> is asked for. Names and defaults are those of vLLM's <c>bench serve</c> with random prompts.</summary>
internal sealed record ServingRequest
{
    private const double MaxRate = 1e6, MaxSeconds = 1e6, MinBurstiness = 0.01, MaxBurstiness = 1e4;

    /// <summary>Requests at each rate.</summary>
    public int NumPrompts { get; init; } = 1000;

    /// <summary>Requests a second; infinity: all at once. Several make a curve.</summary>
    public IReadOnlyList<double> RequestRates { get; init; } = [double.PositiveInfinity];

    public ArrivalDistribution Distribution { get; init; } = ArrivalDistribution.Poisson;

    /// <summary>The shape of the gamma distribution: below 1 requests come in bursts, 1 is Poisson, above 1 they come more evenly.</summary>
    public double Burstiness { get; init; } = 1;

    /// <summary>The most requests that run at a time; null: all that have come.</summary>
    public int? MaxConcurrency { get; init; }

    /// <summary>Prompt tokens.</summary>
    public int InputLen { get; init; } = 1024;

    /// <summary>New tokens.</summary>
    public int OutputLen { get; init; } = 128;

    /// <summary>Lengths are drawn from [length * (1 - ratio), length * (1 + ratio)].</summary>
    public double RangeRatio { get; init; }

    /// <summary>Percentiles that are reported.</summary>
    public IReadOnlyList<double> Percentiles { get; init; } = [50, 90, 95, 99];

    /// <summary>What a request must keep to count as good, by metric (<c>ttft</c>, <c>tpot</c>, <c>e2el</c>), in ms.</summary>
    public IReadOnlyDictionary<string, double> Goodput { get; init; } = new Dictionary<string, double>();

    /// <summary>Of lengths, prompts and arrivals.</summary>
    public int Seed { get; init; }

    /// <summary>Checks the numbers.</summary>
    /// <exception cref="InvalidOptionException">One is out of range.</exception>
    public void Validate()
    {
        BenchmarkRun.AtLeast("num-prompts", NumPrompts, 1);
        BenchmarkRun.AtLeast("random-input-len", InputLen, 1);
        BenchmarkRun.AtLeast("random-output-len", OutputLen, 1);
        BenchmarkRun.AtLeast("max-concurrency", MaxConcurrency ?? 1, 1);
        Require(RequestRates.Count > 0, "request-rate", $"names no rate");
        foreach (double rate in RequestRates)
        {
            Require(rate > 0, "request-rate", $"{rate} must be above 0, or inf");
            Require(double.IsPositiveInfinity(rate) || rate <= MaxRate, "request-rate", $"{rate} must be at most {MaxRate}, or inf");
            Require((NumPrompts - 1) / rate <= MaxSeconds, "request-rate", $"{rate}: {NumPrompts} requests come in {(NumPrompts - 1) / rate} seconds, at most {MaxSeconds} are waited for");
        }
        // Far below and above, the distribution's numbers leave the range of doubles.
        Require(Burstiness is >= MinBurstiness and <= MaxBurstiness, "burstiness", $"{Burstiness} must be in [{MinBurstiness}, {MaxBurstiness}]");
        Require(RangeRatio is >= 0 and < 1, "random-range-ratio", $"{RangeRatio} must be in [0, 1)");
        foreach (double percentile in Percentiles)
            Require(percentile is >= 0 and <= 100, "metric-percentiles", $"{percentile} must be in [0, 100]");
        foreach (var (metric, limit) in Goodput)
        {
            Require(metric is "ttft" or "tpot" or "e2el", "goodput", $"'{metric}' is not a metric; supported: ttft, tpot, e2el");
            Require(limit >= 0, "goodput", $"{metric} is {limit}, must not be negative");
        }
    }

    /// <summary>The longest prompt that may be drawn.</summary>
    public long MaxInputLen => Longest(InputLen);

    /// <summary>The most new tokens that may be drawn.</summary>
    public long MaxOutputLen => Longest(OutputLen);

    private long Longest(int length) => (long)Math.Ceiling(length * (1 + RangeRatio));

    private static void Require(bool holds, string option, FormattableString problem)
    {
        if (!holds)
            throw new InvalidOptionException(option, FormattableString.Invariant(problem));
    }
}
