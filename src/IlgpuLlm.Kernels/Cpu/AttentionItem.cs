namespace IlgpuLlm.Kernels.Cpu;

/// <summary>What one call of the attention kernel works on: some query heads of one token that share a key-value head.</summary>
internal readonly unsafe struct AttentionItem
{
    /// <summary>[NumHeads, HeadDim].</summary>
    public required float* Query { get; init; }

    /// <summary>[NumHeads, HeadDim].</summary>
    public required float* Output { get; init; }

    public required int NumHeads { get; init; }

    public required int HeadDim { get; init; }

    public required float Scale { get; init; }

    /// <summary>The token's own position, the last that it sees.</summary>
    public required int Position { get; init; }

    public required int FirstVisible { get; init; }

    /// <summary>The sequence's blocks.</summary>
    public required int* BlockTable { get; init; }

    public required KvCacheLayer Cache { get; init; }

    public required int KvHead { get; init; }

    public required int NumKvHeads { get; init; }
}
