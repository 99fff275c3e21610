using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the decode kernels read and write.</summary>
/// <typeparam name="T">An element of activations, and of the cache unless that has codes.</typeparam>
internal struct DecodeArguments<T>
    where T : unmanaged
{
    public ArrayView<T> Qkv; // [numSeqs, qkvWidth], not rotated
    public ArrayView<float> Table; // [rows, headDim]
    public ArrayView<int> TableRows; // [numSeqs]
    public ArrayView<int> Positions; // [numSeqs]
    public ArrayView<int> Slots; // [numSeqs]
    public ArrayView<int> BlockTables; // [numSeqs, maxBlocksPerSeq]
    public ArrayView<T> Keys; // [numBlocks, numKvHeads, blockSize, headDim], or bytes of codes
    public ArrayView<T> Values; // the same
    public ArrayView<T> Output; // [numSeqs, numHeads * headDim]
    public ArrayView<int> Counters; // [numSeqs, numKvHeads]: splits that have ended; all 0 between launches
    public ArrayView<float> Partials; // [numSeqs, numKvHeads, maxSplits * heads of a group * (headDim + 2)]; see DecodeMerge
    public long KeysAddress;
    public long ValuesAddress;
    public long PartialsAddress;
    public int BlockShift; // blockSize = 1 << BlockShift
    public int MaxSplits;

    /// <summary>The fewest positions of a split.</summary>
    public int SmallestSplit;
}

/// <summary>The scales of a cache of codes; not read where there are none.</summary>
internal struct DecodeScales
{
    public ArrayView<float> Keys; // [numBlocks, numKvHeads, blockSize]
    public ArrayView<float> Values; // the same
    public long KeysAddress;
    public long ValuesAddress;

    /// <summary>Those of a cache; where it has none, addresses of something else.</summary>
    public static DecodeScales Of(GpuDevice device, KvCacheLayer cache, GpuBuffer somethingElse)
    {
        GpuBuffer keys = device.Own(cache.Scales?.Keys ?? somethingElse), values = device.Own(cache.Scales?.Values ?? somethingElse);
        return new() { Keys = keys.View<float>(), Values = values.View<float>(), KeysAddress = keys.Address, ValuesAddress = values.Address };
    }
}
