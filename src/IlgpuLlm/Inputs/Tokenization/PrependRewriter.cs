namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Puts a text before.</summary>
/// <param name="Prefix">What is put before.</param>
/// <param name="UnlessPresent">Nothing is done where the text starts with it already.</param>
/// <param name="OnlyFirst">Nothing is done except at the very start of the prompt.</param>
internal sealed record PrependRewriter(string Prefix, bool UnlessPresent = false, bool OnlyFirst = false) : ITextRewriter
{
    /// <inheritdoc/>
    public string Rewrite(string text, bool isFirst) =>
        (OnlyFirst && !isFirst) || (UnlessPresent && text.StartsWith(Prefix, StringComparison.Ordinal)) ? text : Prefix + text;
}
