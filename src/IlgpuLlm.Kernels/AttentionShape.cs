namespace IlgpuLlm.Kernels;

/// <summary>The shape of an attention layer.</summary>
/// <param name="NumHeads">Query heads.</param>
/// <param name="NumKvHeads">Key and value heads; divides <paramref name="NumHeads"/>. Query head h reads key-value head h / (NumHeads / NumKvHeads).</param>
/// <param name="HeadDim">Elements in a head; even.</param>
/// <param name="SlidingWindow">A token sees itself and the SlidingWindow - 1 tokens before it; 0 means all of them.</param>
/// <param name="Scale">What query-key products are multiplied with before the softmax, usually 1 / sqrt(HeadDim).</param>
public readonly record struct AttentionShape(int NumHeads, int NumKvHeads, int HeadDim, int SlidingWindow, float Scale)
{
    /// <summary>The elements of all query heads of a token.</summary>
    public int QueryWidth => NumHeads * HeadDim;

    /// <summary>The elements of all key heads of a token (and of all value heads).</summary>
    public int KvWidth => NumKvHeads * HeadDim;

    /// <summary>The elements of a row of the fused product: query, key, value.</summary>
    public int QkvWidth => QueryWidth + 2 * KvWidth;

    /// <summary>The first position that the token at <paramref name="position"/> sees.</summary>
    public int FirstVisible(int position) => SlidingWindow > 0 ? Math.Max(0, position - SlidingWindow + 1) : 0;
}
