namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>How the decoder of a tokenizer.json turns tokens into text; of no effect for byte-level vocabularies.</summary>
internal sealed record DecoderOptions
{
    /// <summary>Applied to each token's text.</summary>
    public IReadOnlyList<ReplaceRewriter> Replacements { get; init; } = [];

    /// <summary>The first token loses the characters that the first replacement replaces ("Metaspace" with a prefix).</summary>
    public bool DropLeadingSpaces { get; init; }

    /// <summary>Tokens written as <c>&lt;0x0A&gt;</c> are bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>The character that is stripped from the start of the whole text.</summary>
    public char StripContent { get; init; }

    /// <summary>At most how many of them.</summary>
    public int StripStart { get; init; }
}
