namespace IlgpuLlm.Bench.Quality;

/// <summary>
/// How a precision's answers compare with the reference: greedy answers by Hugging Face, or else by the first precision of the run. Its own greedy answers are
/// compared token by token; logits along the reference's tokens, so that one early difference does not spoil all that follows.
/// </summary>
internal sealed record QualityReport
{
    /// <summary>Whose answers are the reference.</summary>
    public required string Reference { get; init; }

    public required int NumQuestions { get; init; }

    /// <summary>Greedy answers that have the reference's tokens, all of them and no others.</summary>
    public required int ExactMatches { get; init; }

    /// <summary>Leading tokens that are the reference's, a mean over the questions.</summary>
    public required double MeanMatchTokens { get; init; }

    /// <summary>Those of all questions, as a share of the reference's tokens.</summary>
    public required double TokenMatchPercent { get; init; }

    /// <summary>Positions along the reference's tokens where the likeliest token is the reference's.</summary>
    public required double Top1Percent { get; init; }

    /// <summary>Whose distributions the divergence is from; null: this is the one.</summary>
    public string? KlReference { get; init; }

    /// <summary>Kullback-Leibler divergence from the reference's distribution to this one, in nats, a mean over the positions; null for the reference itself.</summary>
    public double? MeanKl { get; init; }

    /// <summary>The largest of a position.</summary>
    public double? MaxKl { get; init; }

    /// <summary>exp of the mean negative log-likelihood of the reference's tokens.</summary>
    public required double ReferencePerplexity { get; init; }

    /// <summary>The same of a text; null without tokenizer.</summary>
    public double? TextPerplexity { get; init; }

    /// <summary>Tokens of that text that count.</summary>
    public int NumTextTokens { get; init; }

    /// <summary>Prompts whose tokens are not those of the ground truth, which then take their place; null without ground truth or tokenizer.</summary>
    public int? NumPromptsThatDiffer { get; init; }

    public required IReadOnlyList<QualityAnswer> Answers { get; init; }
}

/// <summary>An answer; the first five fields are those of the seed's quality_check.json.</summary>
internal sealed record QualityAnswer
{
    public required string Question { get; init; }

    public required int MaxToken { get; init; }

    public required float Temperature { get; init; }

    /// <summary>At that temperature.</summary>
    public required string Actual { get; init; }

    /// <summary>What the question file holds to be true, or else the reference's answer.</summary>
    public required string Expected { get; init; }

    /// <summary>At temperature 0.</summary>
    public required string Greedy { get; init; }

    public required IReadOnlyList<int> GreedyTokenIds { get; init; }

    /// <summary>Leading tokens of the greedy answer that are the reference's.</summary>
    public required int MatchTokens { get; init; }

    /// <summary>Tokens of the reference.</summary>
    public required int ReferenceTokens { get; init; }
}
