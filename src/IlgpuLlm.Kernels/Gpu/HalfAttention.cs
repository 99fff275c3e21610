namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the attention kernels for halves have in common.</summary>
internal static class HalfAttention
{
    /// <summary>The checks that both make before a launch.</summary>
    public static void Check(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output, ElementType cacheType = ElementType.F16)
    {
        ShapeChecks.Count(batch.NumTokens, nameof(batch.NumTokens));
        ShapeChecks.Attention(shape);
        ShapeChecks.Cache(cache, shape);
        ShapeChecks.Buffer(cache.Keys, cacheType, 0, 0, nameof(cache));
        ShapeChecks.Buffer(qkv, ElementType.F16, batch.NumTokens, shape.QkvWidth, nameof(qkv));
        ShapeChecks.Buffer(output, ElementType.F16, batch.NumTokens, shape.QueryWidth, nameof(output));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (!int.IsPow2(cache.BlockSize))
            throw new ArgumentException($"blocks of {cache.BlockSize} tokens; must be a power of two", nameof(cache));
        CheckAligned(qkv, nameof(qkv));
        CheckAligned(output, nameof(output));
        CheckAligned((GpuBuffer)cache.Keys, nameof(cache));
        CheckAligned((GpuBuffer)cache.Values, nameof(cache));
    }

    /// <summary>Rows are read in 16-byte chunks: a buffer begins at a multiple of 16 bytes.</summary>
    private static void CheckAligned(GpuBuffer buffer, string name)
    {
        if (buffer.Address % 16 != 0)
            throw new ArgumentException($"{name} lies at address {buffer.Address}, must be a multiple of 16", name);
    }
}
