namespace IlgpuLlm.Loading;

/// <summary>
/// What generation_config.json says, checked: the model's own sampling defaults. Null: the file is absent or does not say. Keys that are not listed
/// here are ignored.
/// </summary>
public sealed record GenerationConfig
{
    /// <summary>Whether Transformers would sample at all; false means greedy.</summary>
    public bool? DoSample { get; init; }

    /// <summary>At least 0; 0 means greedy.</summary>
    public float? Temperature { get; init; }

    /// <summary>Tokens kept, at least -1; 0 and -1 keep all.</summary>
    public int? TopK { get; init; }

    /// <summary>Probability mass kept, in (0, 1].</summary>
    public float? TopP { get; init; }

    /// <summary>Smallest probability kept, relative to the largest, in [0, 1].</summary>
    public float? MinP { get; init; }

    /// <summary>What logits of tokens seen before are divided by, above 0.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>Tokens to make, at least 1.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>The token that starts a sequence.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end a sequence; empty: the file does not say, those of config.json count.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];
}
