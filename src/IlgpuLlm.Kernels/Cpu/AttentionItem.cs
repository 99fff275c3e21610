namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// What one call of the attention kernel works on: tokens of one sequence at consecutive positions, and some of their query heads, which share a key-value head.
/// </summary>
internal readonly unsafe struct AttentionItem
{
    /// <summary>The first token's heads: [NumHeads, HeadDim]; the next token's lie QueryStride floats behind.</summary>
    public required float* Query { get; init; }

    public required int QueryStride { get; init; }

    /// <summary>Likewise.</summary>
    public required float* Output { get; init; }

    public required int OutputStride { get; init; }

    public required int NumTokens { get; init; }

    public required int NumHeads { get; init; }

    public required AttentionShape Shape { get; init; }

    /// <summary>The first token's own position, the last that it sees.</summary>
    public required int FirstPosition { get; init; }

    /// <summary>The sequence's blocks.</summary>
    public required int* BlockTable { get; init; }

    public required KvCacheLayer Cache { get; init; }

    public required int KvHead { get; init; }
}
