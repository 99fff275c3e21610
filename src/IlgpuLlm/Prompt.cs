namespace IlgpuLlm;

/// <summary>A prompt: a text, or the tokens themselves.</summary>
public sealed record Prompt
{
    private Prompt(string? text, IReadOnlyList<int>? tokenIds) => (Text, TokenIds) = (text, tokenIds);

    /// <summary>The text, or null.</summary>
    public string? Text { get; }

    /// <summary>The tokens as they are fed (no BOS is added), or null.</summary>
    public IReadOnlyList<int>? TokenIds { get; }

    /// <summary>A prompt that the tokenizer encodes; BOS is added where the model's tokenizer does so.</summary>
    public static Prompt FromText(string text) => new(text ?? throw new ArgumentNullException(nameof(text)), null);

    /// <summary>A prompt given as tokens.</summary>
    public static Prompt FromTokens(IReadOnlyList<int> tokenIds) => new(null, tokenIds ?? throw new ArgumentNullException(nameof(tokenIds)));

    /// <summary>A text whose tokens are known: the text is reported, the tokens are fed.</summary>
    internal static Prompt FromTextAndTokens(string text, IReadOnlyList<int> tokenIds) => new(text, tokenIds);

    /// <summary>The same as <see cref="FromText"/>.</summary>
    public static implicit operator Prompt(string text) => FromText(text);
}
