namespace IlgpuLlm.Bench.Serving;

/// <summary>One request's times, in seconds of the engine's clock.</summary>
/// <param name="InputLen">Prompt tokens.</param>
/// <param name="ArrivalTime">When it was due; with a limit of requests at a time, when it was sent.</param>
/// <param name="TokenTimes">When each token came.</param>
/// <param name="Error">What went wrong, or null.</param>
internal sealed record ServedRequest(int InputLen, double ArrivalTime, IReadOnlyList<double> TokenTimes, string? Error)
{
    public double Ttft => TokenTimes[0] - ArrivalTime;

    public double E2el => TokenTimes[^1] - ArrivalTime;

    /// <summary>Null for a single token.</summary>
    public double? Tpot => TokenTimes.Count > 1 ? (TokenTimes[^1] - TokenTimes[0]) / (TokenTimes.Count - 1) : null;

    public IEnumerable<double> Itl => TokenTimes.Skip(1).Zip(TokenTimes, (next, before) => next - before);

    /// <summary>Whether it keeps all limits, in ms.</summary>
    public bool IsGood(IReadOnlyDictionary<string, double> limits) => limits.All(limit => limit.Value >= 1000 * limit.Key switch
    {
        "ttft" => Ttft,
        "tpot" => Tpot ?? 0, // as vLLM counts it
        _ => E2el,
    });
}
