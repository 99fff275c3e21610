namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Replaces a text wherever it stands.</summary>
/// <param name="Pattern">What is replaced; not empty.</param>
/// <param name="Content">What is put in its place.</param>
internal sealed record ReplaceRewriter(string Pattern, string Content) : ITextRewriter
{
    /// <inheritdoc/>
    public string Rewrite(string text, bool isFirst) => text.Replace(Pattern, Content, StringComparison.Ordinal);
}
