namespace IlgpuLlm.Kernels;

/// <summary>
/// One layer's part of the paged KV cache. Keys and values are F32, F16 or U8, each [numBlocks, numKvHeads, blockSize, headDim].
/// A slot is block * blockSize + offset in the block.
/// </summary>
/// <remarks>
/// A cache of U8 holds codes of 8 bits. Every key and every value, a head of a token, has a scale of its own: its largest magnitude / 127. The byte b
/// stands for (b - 128) * scale, b - 128 being the nearest code in [-127, 127]; so what is stored depends on that key or value alone.
/// </remarks>
public sealed class KvCacheLayer
{
    /// <summary>Describes a layer's cache of floats or halves over slices of the one KV slab.</summary>
    public KvCacheLayer(DeviceBuffer keys, DeviceBuffer values, int numBlocks, int blockSize)
        : this(keys, values, scales: null, numBlocks, blockSize)
    {
        if (keys.Type is not (ElementType.F32 or ElementType.F16))
            throw new ArgumentException($"the KV cache is F32 or F16, or U8 with scales, not {keys.Type}", nameof(keys));
    }

    /// <summary>Describes a layer's cache of codes.</summary>
    /// <param name="keys">U8, [numBlocks, numKvHeads, blockSize, headDim].</param>
    /// <param name="values">U8, the same.</param>
    /// <param name="scales">Their scales.</param>
    /// <param name="numBlocks">The number of blocks.</param>
    /// <param name="blockSize">Tokens in a block.</param>
    /// <param name="widened">Where a backend that <see cref="Backend.WidensCache"/> puts the codes as halves: F16, as many blocks; all layers may share it.</param>
    public KvCacheLayer(DeviceBuffer keys, DeviceBuffer values, KvCacheScales scales, int numBlocks, int blockSize, KvCacheLayer? widened = null)
        : this(keys, values, (KvCacheScales?)scales, numBlocks, blockSize)
    {
        ArgumentNullException.ThrowIfNull(scales);
        if (keys.Type != ElementType.U8)
            throw new ArgumentException($"the codes of a KV cache are U8, not {keys.Type}", nameof(keys));
        if (widened is not null && (widened.Keys.Type != ElementType.F16 || widened.NumBlocks != numBlocks || widened.BlockSize != blockSize))
            throw new ArgumentException(
                $"{numBlocks} blocks of {blockSize} tokens cannot be widened to {widened.NumBlocks} of {widened.BlockSize} of {widened.Keys.Type}", nameof(widened));
        Widened = widened;
    }

    private KvCacheLayer(DeviceBuffer keys, DeviceBuffer values, KvCacheScales? scales, int numBlocks, int blockSize)
    {
        if (keys.Length != values.Length || keys.Type != values.Type)
            throw new ArgumentException("keys and values must have the same length and type");
        Keys = keys;
        Values = values;
        Scales = scales;
        NumBlocks = numBlocks;
        BlockSize = blockSize;
    }

    /// <summary>The keys, after rotary embedding: [numBlocks, numKvHeads, blockSize, headDim].</summary>
    public DeviceBuffer Keys { get; }

    /// <summary>The values: [numBlocks, numKvHeads, blockSize, headDim].</summary>
    public DeviceBuffer Values { get; }

    /// <summary>The scales of a cache of codes; null for floats and halves.</summary>
    public KvCacheScales? Scales { get; }

    /// <summary>Where codes are put as halves, for kernels that read those; null where none was given.</summary>
    public KvCacheLayer? Widened { get; }

    /// <summary>The number of blocks.</summary>
    public int NumBlocks { get; }

    /// <summary>Tokens in a block.</summary>
    public int BlockSize { get; }
}

/// <summary>The scales of one layer's keys and values of 8 bits.</summary>
public sealed class KvCacheScales
{
    /// <summary>Describes them.</summary>
    public KvCacheScales(DeviceBuffer keys, DeviceBuffer values)
    {
        if (keys.Length != values.Length || keys.Type != ElementType.F32 || values.Type != ElementType.F32)
            throw new ArgumentException($"scales of keys and values must be F32 of the same length, not {keys.Length} of {keys.Type} and {values.Length} of {values.Type}");
        Keys = keys;
        Values = values;
    }

    /// <summary>The keys' scales: F32, [numBlocks, numKvHeads, blockSize].</summary>
    public DeviceBuffer Keys { get; }

    /// <summary>The values' scales: F32, [numBlocks, numKvHeads, blockSize].</summary>
    public DeviceBuffer Values { get; }
}
