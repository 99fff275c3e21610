using System.Numerics.Tensors;

namespace IlgpuLlm.Kernels;

/// <summary>Keys and values of 8 bits (<see cref="KvCacheLayer"/>).</summary>
internal static class KvCodes
{
    /// <summary>The byte of the code 0.</summary>
    public const int Zero = 128;

    /// <summary>The largest code.</summary>
    public const float Largest = 127;

    /// <summary>Below this a head is zero: 127 divided by less would not be finite.</summary>
    public const float Smallest = 1e-36f;

    /// <summary>1.5 * 2^23 + 128: the lowest byte of this plus a code is the code's byte, and the addition rounds to the nearest code, ties to even.</summary>
    public const float RoundToByte = 12582912f + Zero;

    /// <summary>Makes the codes of one head of a token. Returns their scale, which is not finite where an element is not.</summary>
    public static float Quantize(ReadOnlySpan<float> head, Span<byte> codes)
    {
        float largest = MathF.Abs(TensorPrimitives.MaxMagnitude(head)); // NaN if there is one
        float inverse = largest > Smallest ? Largest / largest : 0;
        for (int i = 0; i < head.Length; i++)
            codes[i] = (byte)BitConverter.SingleToUInt32Bits(head[i] * inverse + RoundToByte);
        return largest / Largest;
    }
}
