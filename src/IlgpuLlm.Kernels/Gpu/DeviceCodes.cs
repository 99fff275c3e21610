using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;
using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How kernels make the codes of a quantized cache: as <see cref="KvCodes.Quantize"/>, but multiplication and rounding are one operation.</summary>
internal static class DeviceCodes
{
    /// <summary>The bits of |x|: they are ordered as magnitudes are, and those of what is no number are the largest.</summary>
    public static uint Magnitude(float x) => Bits.FloatAsInt(x) & 0x7FFFFFFF;

    /// <summary>The scale of a head whose largest magnitude has these bits; not finite where that is not.</summary>
    public static float Scale(uint largest) => Bits.IntAsFloat(largest) / KvCodes.Largest;

    /// <summary>What elements are multiplied with to become codes; 0 for a head of zeros.</summary>
    public static float Inverse(uint largest) => Bits.IntAsFloat(largest) > KvCodes.Smallest ? KvCodes.Largest / Bits.IntAsFloat(largest) : 0f;

    /// <summary>The byte of an element.</summary>
    public static uint Byte(float x, float inverse) => Bits.FloatAsInt(PtxIntrinsics.MultiplyAdd(x, inverse, KvCodes.RoundToByte)) & 0xFF;

    /// <summary>The largest magnitude of a chunk.</summary>
    public static uint Largest(Float8 chunk) => IntrinsicMath.Max(Largest(chunk.Low), Largest(chunk.High));

    /// <summary>The bytes of a chunk.</summary>
    public static UInt2 Bytes(Float8 chunk, float inverse) => new() { X = Bytes(chunk.Low, inverse), Y = Bytes(chunk.High, inverse) };

    /// <summary>Likewise of four elements.</summary>
    public static uint Largest(Float4 values) =>
        IntrinsicMath.Max(IntrinsicMath.Max(Magnitude(values.X), Magnitude(values.Y)), IntrinsicMath.Max(Magnitude(values.Z), Magnitude(values.W)));

    /// <summary>Likewise of four elements.</summary>
    public static uint Bytes(Float4 values, float inverse) =>
        Byte(values.X, inverse) | (Byte(values.Y, inverse) << 8) | (Byte(values.Z, inverse) << 16) | (Byte(values.W, inverse) << 24);
}
