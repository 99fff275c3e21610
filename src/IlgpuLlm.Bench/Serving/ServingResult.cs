using System.Text.Json.Serialization;
using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Bench.Serving;

/// <summary>What one rate gave, under the names of vLLM's <c>bench serve</c>. Times are the engine's own, from the arrival of a request to its tokens.</summary>
internal sealed record ServingResult
{
    /// <summary>Requests a second that were asked for; null: all at once.</summary>
    public required double? RequestRate { get; init; }

    public required string Distribution { get; init; }

    public required double Burstiness { get; init; }

    public required int? MaxConcurrency { get; init; }

    /// <summary>Requests that ended well.</summary>
    public required int Completed { get; init; }

    public required int Failed { get; init; }

    /// <summary>From the first request to the last one's end, in seconds.</summary>
    public required double Duration { get; init; }

    public required long TotalInputTokens { get; init; }

    public required long TotalOutputTokens { get; init; }

    /// <summary>Requests a second.</summary>
    public required double RequestThroughput { get; init; }

    /// <summary>Good requests a second; null: no limits were given.</summary>
    public required double? RequestGoodput { get; init; }

    /// <summary>New tokens a second.</summary>
    public required double OutputThroughput { get; init; }

    /// <summary>Prompt and new tokens a second.</summary>
    public required double TotalTokenThroughput { get; init; }

    /// <summary>The most requests that were under way.</summary>
    public required int MaxConcurrentRequests { get; init; }

    /// <summary>Time to the first token.</summary>
    [JsonIgnore]
    public ServingLatency TtftMs { get; init; } = ServingLatency.None;

    /// <summary>Time per output token after the first, of a request a mean.</summary>
    [JsonIgnore]
    public ServingLatency TpotMs { get; init; } = ServingLatency.None;

    /// <summary>Time between two tokens.</summary>
    [JsonIgnore]
    public ServingLatency ItlMs { get; init; } = ServingLatency.None;

    /// <summary>End-to-end latency.</summary>
    [JsonIgnore]
    public ServingLatency E2elMs { get; init; } = ServingLatency.None;

    /// <summary>The latencies as vLLM writes them: <c>mean_ttft_ms</c>, <c>median_ttft_ms</c>, <c>std_ttft_ms</c>, <c>p99_ttft_ms</c>, and so on.</summary>
    [JsonExtensionData]
    public Dictionary<string, object?> Latencies => new([.. TtftMs.Fields("ttft"), .. TpotMs.Fields("tpot"), .. ItlMs.Fields("itl"), .. E2elMs.Fields("e2el")]);
}

/// <summary>A latency over all requests, in ms; all null where no request has one.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Median">The median.</param>
/// <param name="Std">The standard deviation.</param>
/// <param name="Percentiles">By name: <c>p99</c>.</param>
internal sealed record ServingLatency(double? Mean, double? Median, double? Std, IReadOnlyDictionary<string, double> Percentiles)
{
    /// <summary>Of no request.</summary>
    public static readonly ServingLatency None = new(null, null, null, new Dictionary<string, double>());

    public static ServingLatency Of(IEnumerable<double> seconds, IReadOnlyList<double> percentiles)
    {
        double[] ms = [.. seconds.Select(s => 1000 * s)];
        if (ms.Length == 0)
            return None;
        return new ServingLatency(Statistics.Mean(ms), Statistics.Median(ms), Statistics.StandardDeviation(ms),
            percentiles.Distinct().ToDictionary(p => FormattableString.Invariant($"p{p}"), p => Statistics.Percentile(ms, p)));
    }

    /// <summary>Its fields under vLLM's names.</summary>
    public IEnumerable<KeyValuePair<string, object?>> Fields(string metric) =>
    [
        new($"mean_{metric}_ms", Mean), new($"median_{metric}_ms", Median), new($"std_{metric}_ms", Std),
        .. Percentiles.Select(p => new KeyValuePair<string, object?>($"{p.Key}_{metric}_ms", p.Value)),
    ];
}
