namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Cuts before every character that stands for a space.</summary>
internal sealed record MetaspaceSplitter(char Space) : ITextSplitter
{
    /// <inheritdoc/>
    public void Split(string text, int start, int end, List<(int Start, int End)> words)
    {
        for (int next; start < end; start = next)
        {
            int length = text.AsSpan(start + 1, end - start - 1).IndexOf(Space);
            next = length < 0 ? end : start + 1 + length;
            words.Add((start, next));
        }
    }
}
