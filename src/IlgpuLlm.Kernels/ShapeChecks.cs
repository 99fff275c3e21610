namespace IlgpuLlm.Kernels;

/// <summary>The checks that every backend makes before an operation starts. Messages name the argument, its value and what was needed.</summary>
internal static class ShapeChecks
{
    /// <summary>A buffer of this type with room for rows * width elements.</summary>
    public static void Buffer(DeviceBuffer buffer, ElementType type, long rows, long width, string name)
    {
        if (buffer.Type != type)
            throw new ArgumentException($"{name} must be {type}, not {buffer.Type}", name);
        if (buffer.Length < rows * width)
            throw new ArgumentException($"{name} holds {buffer.Length} elements; [{rows}, {width}] needs {rows * width}", name);
    }

    /// <summary>A buffer of floats or halves with room for rows * width elements.</summary>
    public static void Activations(DeviceBuffer buffer, long rows, long width, string name) =>
        Buffer(buffer, buffer.Type == ElementType.F16 ? ElementType.F16 : ElementType.F32, rows, width, name);

    /// <summary>A count that is not negative.</summary>
    public static void Count(int value, string name)
    {
        if (value < 0)
            throw new ArgumentException($"{name} is {value}, must not be negative", name);
    }

    /// <summary>A buffer whose length a transfer matches or exceeds.</summary>
    public static void Transfer(DeviceBuffer buffer, ElementType type, long length, string name)
    {
        if (buffer.Type != type || buffer.Length < length)
            throw new ArgumentException($"{name} is {buffer.Length} elements of {buffer.Type}; the transfer is {length} elements of {type}", name);
    }

    /// <summary>Head counts that divide, an even head size.</summary>
    public static void Attention(AttentionShape shape)
    {
        if (shape.NumKvHeads <= 0 || shape.NumHeads <= 0 || shape.NumHeads % shape.NumKvHeads != 0)
            throw new ArgumentException($"{shape.NumHeads} query heads cannot share {shape.NumKvHeads} key-value heads", nameof(shape));
        if (shape.HeadDim <= 0 || shape.HeadDim % 2 != 0)
            throw new ArgumentException($"the head size is {shape.HeadDim}, must be positive and even", nameof(shape));
    }

    /// <summary>A cache whose slabs have the described size.</summary>
    public static void Cache(KvCacheLayer cache, AttentionShape shape)
    {
        long numSlots = (long)cache.NumBlocks * cache.BlockSize, needed = numSlots * shape.KvWidth;
        if (cache.BlockSize <= 0 || cache.Keys.Length < needed)
            throw new ArgumentException(
                $"the cache holds {cache.Keys.Length} elements; {cache.NumBlocks} blocks of {cache.BlockSize} tokens of {shape.KvWidth} need {needed}", nameof(cache));
        if (cache.Scales is { } scales && scales.Keys.Length < numSlots * shape.NumKvHeads)
            throw new ArgumentException(
                $"the cache holds {scales.Keys.Length} scales; {cache.NumBlocks} blocks of {cache.BlockSize} tokens of {shape.NumKvHeads} heads need {numSlots * shape.NumKvHeads}", nameof(cache));
    }
}
