namespace IlgpuLlm.Evaluation;

/// <summary>How likely a model finds given tokens. Log-probabilities are natural, and those of the model itself: no temperature, no filters.</summary>
public sealed record TokenScores
{
    /// <summary>The tokens: [numTokens].</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>[numTokens - 1]: entry i is the log-probability of token i + 1 after tokens 0 to i. vLLM's <c>prompt_logprobs</c>, without its first entry, null.</summary>
    public required IReadOnlyList<float> Logprobs { get; init; }

    /// <summary>[numTokens]: entry i is the likeliest token after tokens 0 to i, the smallest id where several are. The last one is what greedy sampling gives next.</summary>
    public required IReadOnlyList<int> Top1TokenIds { get; init; }

    /// <summary>[numTokens]: how far the logit of the second likeliest token is behind. Two computations may differ in a token whose lead is small.</summary>
    public required IReadOnlyList<float> Top1Leads { get; init; }
}
