namespace IlgpuLlm;

/// <summary>What each output of a stream holds.</summary>
public enum RequestOutputKind
{
    /// <summary>Everything since the request began.</summary>
    Cumulative,

    /// <summary>What is new since the output before.</summary>
    Delta,

    /// <summary>One output, when the request has ended.</summary>
    FinalOnly,
}

/// <summary>Why a completion ended.</summary>
public enum FinishReason
{
    /// <summary>The end-of-sequence token, a stop token or a stop string.</summary>
    Stop,

    /// <summary>max_tokens or the model's context was reached.</summary>
    Length,

    /// <summary>The caller aborted it.</summary>
    Abort,

    /// <summary>It failed; the others go on. See <see cref="CompletionOutput.Error"/>.</summary>
    Error,
}

/// <summary>A token's log-probability under the model, before temperature and filters.</summary>
/// <param name="TokenId">The token.</param>
/// <param name="Value">ln p.</param>
/// <param name="Rank">1 for the likeliest token.</param>
public readonly record struct Logprob(int TokenId, float Value, int Rank);

/// <summary>One position's log-probabilities: first the token that stands there, then the likeliest ones, as many as were asked for.</summary>
/// <param name="Chosen">The token at this position.</param>
/// <param name="Top">The likeliest tokens, likeliest first.</param>
public sealed record PositionLogprobs(Logprob Chosen, IReadOnlyList<Logprob> Top);

/// <summary>One completion of a prompt.</summary>
public sealed record CompletionOutput
{
    /// <summary>Which of the n completions this is.</summary>
    public required int Index { get; init; }

    /// <summary>The text, up to the stop string if one ended it.</summary>
    public required string Text { get; init; }

    /// <summary>The tokens, with the stop token if one ended it.</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>The log-probabilities of the tokens, if asked for.</summary>
    public IReadOnlyList<PositionLogprobs>? Logprobs { get; init; }

    /// <summary>Why it ended; null while it runs.</summary>
    public FinishReason? FinishReason { get; init; }

    /// <summary>The stop string that ended it (a string), the stop token (an int), or null.</summary>
    public object? StopReason { get; init; }

    /// <summary>What went wrong, with <see cref="IlgpuLlm.FinishReason.Error"/>.</summary>
    public string? Error { get; init; }
}

/// <summary>The state of a request: its prompt and its completions.</summary>
public sealed record RequestOutput
{
    /// <summary>The request's id.</summary>
    public required string RequestId { get; init; }

    /// <summary>The prompt's text; null if it was given as tokens.</summary>
    public required string? Prompt { get; init; }

    /// <summary>The prompt's tokens, BOS included.</summary>
    public required IReadOnlyList<int> PromptTokenIds { get; init; }

    /// <summary>The log-probabilities of the prompt's tokens from the second on, if asked for; of a stream of deltas the first output has them.</summary>
    public IReadOnlyList<PositionLogprobs>? PromptLogprobs { get; init; }

    /// <summary>The completions, n of them.</summary>
    public required IReadOnlyList<CompletionOutput> Outputs { get; init; }

    /// <summary>Whether every completion has ended.</summary>
    public required bool Finished { get; init; }

    /// <summary>When things happened.</summary>
    public required RequestMetrics Metrics { get; init; }
}

/// <summary>A request's times, in seconds of the engine's monotonic clock.</summary>
/// <param name="ArrivalTime">When the engine took the request.</param>
/// <param name="FirstTokenTime">When its first token was known; 0 before.</param>
/// <param name="LastTokenTime">When its latest token was known; 0 before.</param>
/// <param name="NumPreemptions">How often it lost its blocks and was recomputed.</param>
public readonly record struct RequestMetrics(double ArrivalTime, double FirstTokenTime, double LastTokenTime, int NumPreemptions)
{
    /// <summary>Time to the first token, in seconds.</summary>
    public double TimeToFirstToken => FirstTokenTime - ArrivalTime;
}
