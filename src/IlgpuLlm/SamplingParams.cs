using IlgpuLlm.Sampling;

namespace IlgpuLlm;

/// <summary>
/// How tokens of a request are chosen and when it ends. Names, defaults and validation are vLLM's (<c>max_tokens</c> is <see cref="MaxTokens"/>).
/// Immutable; one instance may serve many requests.
/// </summary>
public sealed record SamplingParams
{
    /// <summary>Temperatures below this mean greedy decoding.</summary>
    internal const float GreedyBelow = 1e-5f;

    /// <summary>Positive temperatures are raised to this, as in vLLM: smaller ones overflow the scaled logits.</summary>
    internal const float SmallestTemperature = 1e-2f;

    /// <summary>The most completions of one prompt, as in vLLM (VLLM_MAX_N_SEQUENCES): each has memory of its own from the start.</summary>
    internal const int MaxN = 16384;

    /// <summary>The number of completions of one prompt, in [1, 16384]. Default 1. Completion i uses seed + i.</summary>
    public int N { get; init; } = 1;

    /// <summary>Divides the logits; 0 means greedy. Default 1.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Keeps the k most likely tokens; 0 or -1 keeps all. Default 0.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps the smallest set of most likely tokens whose probabilities reach this, in (0, 1]. Default 1.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Keeps tokens with at least this share of the likeliest token's probability, in [0, 1]. Default 0.</summary>
    public float MinP { get; init; }

    /// <summary>Subtracted once from the logit of every token that was generated before, in [-2, 2]. Default 0.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Subtracted, for each time that it was generated before, from a token's logit, in [-2, 2]. Default 0.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Divides positive and multiplies negative logits of tokens in the prompt or the output; above 0. Default 1.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Makes the request reproducible. Null: the engine draws one.</summary>
    public long? Seed { get; init; }

    /// <summary>Texts that end the request when they appear in the output.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Tokens that end the request.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Whether the text that ended the request is part of the output. Default false.</summary>
    public bool IncludeStopStrInOutput { get; init; }

    /// <summary>Whether generation goes on after the model's end-of-sequence token. Default false.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>The most tokens to generate; null: as many as the model's context allows. Default 16.</summary>
    public int? MaxTokens { get; init; } = 16;

    /// <summary>The number of tokens before which nothing but <see cref="MaxTokens"/> ends the request. Default 0.</summary>
    public int MinTokens { get; init; }

    /// <summary>How many of the likeliest tokens to report with each generated one; -1 the whole vocabulary; null none.</summary>
    public int? Logprobs { get; init; }

    /// <summary>As <see cref="Logprobs"/>, for the tokens of the prompt.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>Who takes the logits of every position of the prompt, in place of <see cref="PromptLogprobs"/>; null: nobody.</summary>
    internal IPromptLogitsSink? PromptLogits { get; init; }

    /// <summary>Whether special tokens are left out of the text. Default true.</summary>
    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>What a stream's outputs hold. Default <see cref="RequestOutputKind.Cumulative"/>.</summary>
    public RequestOutputKind OutputKind { get; init; } = RequestOutputKind.Cumulative;

    /// <summary>Whether the likeliest token is taken every time.</summary>
    public bool IsGreedy => Temperature < GreedyBelow;

    /// <summary>Checks every field.</summary>
    /// <exception cref="InvalidRequestException">A field is out of its range; the message names it in vLLM's spelling, its value and the limit.</exception>
    public void Validate()
    {
        Require(N >= 1, "n", N, "must be at least 1");
        Require(N <= MaxN, "n", N, $"must be at most {MaxN}");
        Require(N == 1 || !IsGreedy, "n", N, "must be 1 with greedy sampling (temperature 0)");
        Require(float.IsFinite(Temperature) && Temperature >= 0, "temperature", Temperature, "must be finite and not negative");
        Require(TopK >= -1, "top_k", TopK, "must be 0 or -1 (all tokens) or at least 1");
        Require(TopP is > 0 and <= 1, "top_p", TopP, "must be in (0, 1]");
        Require(MinP is >= 0 and <= 1, "min_p", MinP, "must be in [0, 1]");
        Require(PresencePenalty is >= -2 and <= 2, "presence_penalty", PresencePenalty, "must be in [-2, 2]");
        Require(FrequencyPenalty is >= -2 and <= 2, "frequency_penalty", FrequencyPenalty, "must be in [-2, 2]");
        Require(float.IsFinite(RepetitionPenalty) && RepetitionPenalty > 0, "repetition_penalty", RepetitionPenalty, "must be finite and greater than 0");
        Require(MaxTokens is null or >= 1, "max_tokens", MaxTokens ?? 0, "must be at least 1");
        Require(MinTokens >= 0, "min_tokens", MinTokens, "must not be negative");
        Require(MaxTokens is null || MinTokens <= MaxTokens, "min_tokens", MinTokens, $"must not exceed max_tokens, {MaxTokens}");
        Require(Logprobs is null or >= -1, "logprobs", Logprobs ?? 0, "must be -1 (all tokens) or not negative");
        Require(PromptLogprobs is null or >= -1, "prompt_logprobs", PromptLogprobs ?? 0, "must be -1 (all tokens) or not negative");
        foreach (string stop in Stop ?? throw new InvalidRequestException("stop", "must not be null"))
        {
            if (string.IsNullOrEmpty(stop))
                throw new InvalidRequestException("stop", "an empty string cannot stop a request");
        }
        foreach (int id in StopTokenIds ?? throw new InvalidRequestException("stop_token_ids", "must not be null"))
            Require(id >= 0, "stop_token_ids", id, "a token id must not be negative");
    }

    private static void Require<T>(bool holds, string field, T value, string limit)
    {
        if (!holds)
            throw new InvalidRequestException(field, FormattableString.Invariant($"{value} {limit}"));
    }
}
