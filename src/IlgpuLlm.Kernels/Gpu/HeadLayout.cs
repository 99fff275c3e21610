namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Where heads lie in a row of qkv and in the cache: what attention kernels get by value.</summary>
internal readonly struct HeadLayout(AttentionShape shape, KvCacheLayer cache, BatchMetadata batch)
{
    public readonly int NumHeads = shape.NumHeads;
    public readonly int NumKvHeads = shape.NumKvHeads;
    public readonly int HeadsOfGroup = shape.NumHeads / shape.NumKvHeads; // query heads on a key-value head
    public readonly int HeadDim = shape.HeadDim;
    public readonly int SlidingWindow = shape.SlidingWindow;
    public readonly float Scale = shape.Scale;
    public readonly int BlockSize = cache.BlockSize;
    public readonly int MaxBlocksPerSeq = batch.MaxBlocksPerSeq;

    /// <summary>The first element of a slot's key or value: the cache is [numBlocks, numKvHeads, blockSize, headDim].</summary>
    public long CacheRow(int slot, int kvHead) => CacheRow(slot / BlockSize, slot % BlockSize, kvHead);

    /// <summary>The first element of a key or value in a block.</summary>
    public long CacheRow(int block, int offset, int kvHead) => (((long)block * NumKvHeads + kvHead) * BlockSize + offset) * HeadDim;

    /// <summary>A key's or value's row in the cache, which is also the place of its scale: [numBlocks, numKvHeads, blockSize].</summary>
    public uint RowNumber(int block, int offset, int kvHead) => ((uint)block * (uint)NumKvHeads + (uint)kvHead) * (uint)BlockSize + (uint)offset;

    /// <summary>The first 16-byte chunk of a row of floats in a block, where heads are multiples of 4 elements.</summary>
    public uint CacheChunkOfFloats(int block, int offset, int kvHead) =>
        RowNumber(block, offset, kvHead) * ((uint)HeadDim / 4);

    /// <summary>The first 16-byte chunk of a row of halves in a block, where heads are multiples of 8 elements.</summary>
    public uint CacheChunk(int block, int offset, int kvHead) => (((uint)block * (uint)NumKvHeads + (uint)kvHead) * (uint)BlockSize + (uint)offset) * ((uint)HeadDim / 8);
}
