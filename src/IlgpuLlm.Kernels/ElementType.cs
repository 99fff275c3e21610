namespace IlgpuLlm.Kernels;

/// <summary>The type of one element of a tensor, on the device or in a checkpoint.</summary>
public enum ElementType
{
    /// <summary>IEEE single precision, 4 bytes.</summary>
    F32,

    /// <summary>IEEE half precision, 2 bytes.</summary>
    F16,

    /// <summary>bfloat16, 2 bytes. Only in checkpoints: it is widened or narrowed while it is loaded.</summary>
    BF16,

    /// <summary>Signed 32-bit integer, 4 bytes.</summary>
    I32,

    /// <summary>Unsigned byte. Of a quantized KV cache: a signed code plus 128 (<see cref="KvCacheLayer"/>).</summary>
    U8,
}

/// <summary>Facts about element types.</summary>
public static class ElementTypes
{
    /// <summary>The size of one element in bytes.</summary>
    public static int SizeInBytes(this ElementType type) => type switch
    {
        ElementType.F32 or ElementType.I32 => 4,
        ElementType.F16 or ElementType.BF16 => 2,
        ElementType.U8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };
}
