namespace IlgpuLlm.Kernels;

/// <summary>
/// One layer's part of the paged KV cache. Keys and values are F32 or F16, each [numBlocks, numKvHeads, blockSize, headDim].
/// A slot is block * blockSize + offset in the block.
/// </summary>
public sealed class KvCacheLayer
{
    /// <summary>Describes a layer's cache over slices of the one KV slab.</summary>
    public KvCacheLayer(DeviceBuffer keys, DeviceBuffer values, int numBlocks, int blockSize)
    {
        if (keys.Length != values.Length || keys.Type != values.Type)
            throw new ArgumentException("keys and values must have the same length and type");
        if (keys.Type is not (ElementType.F32 or ElementType.F16))
            throw new ArgumentException($"the KV cache is F32 or F16, not {keys.Type}", nameof(keys));
        Keys = keys;
        Values = values;
        NumBlocks = numBlocks;
        BlockSize = blockSize;
    }

    /// <summary>The keys, after rotary embedding: [numBlocks, numKvHeads, blockSize, headDim].</summary>
    public DeviceBuffer Keys { get; }

    /// <summary>The values: [numBlocks, numKvHeads, blockSize, headDim].</summary>
    public DeviceBuffer Values { get; }

    /// <summary>The number of blocks.</summary>
    public int NumBlocks { get; }

    /// <summary>Tokens in a block.</summary>
    public int BlockSize { get; }
}
