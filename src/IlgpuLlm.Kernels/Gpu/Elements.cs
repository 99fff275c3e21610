using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;
using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How kernels read and write one storage type. Kernels are generic over it, so that each format is compiled without a branch.</summary>
internal interface IElement<T>
    where T : unmanaged
{
    static abstract float Widen(T value);

    static abstract T Narrow(float value);

    /// <summary>Stores four neighbours, aligned to their size.</summary>
    static abstract void Store4(ArrayView<T> output, long element, Float4 values);
}

/// <summary>IEEE single precision.</summary>
internal readonly struct F32Element : IElement<float>
{
    public static float Widen(float value) => value;

    public static float Narrow(float value) => value;

    public static void Store4(ArrayView<float> output, long element, Float4 values) => output.Cast<Float4>().AsAligned(16)[element / 4] = values;
}

/// <summary>
/// IEEE half precision, kept as its 16 bits: ILGPU's Half truncates on the CPU accelerator where CUDA rounds to nearest even.
/// </summary>
internal readonly struct F16Element : IElement<ushort>
{
    public static float Widen(ushort bits) => Bits.IntAsFloat(bits);

    public static ushort Narrow(float value) => (ushort)PtxIntrinsics.PackHalves(value, 0f);

    public static void Store4(ArrayView<ushort> output, long element, Float4 values) => output.Cast<UInt2>().AsAligned(8)[element / 4] =
        new() { X = PtxIntrinsics.PackHalves(values.X, values.Y), Y = PtxIntrinsics.PackHalves(values.Z, values.W) };

    /// <summary>Rounds to nearest even, as System.Half and CUDA do.</summary>
    public static ushort Round(float value)
    {
        uint bits = Bits.FloatAsInt(value);
        uint sign = (bits >> 16) & 0x8000;
        bits &= 0x7FFFFFFF;
        uint magnitude;
        if (bits >= 0x47800000) // 65536 and above, infinities, NaNs
        {
            magnitude = bits > 0x7F800000 ? 0x7E00u : 0x7C00u;
        }
        else if (bits < 0x38800000) // below 2^-14, the smallest normal half: adding 0.5 moves its bits to the end of the mantissa, rounded
        {
            magnitude = Bits.FloatAsInt(Bits.IntAsFloat(bits) + 0.5f) - 0x3F000000;
        }
        else // rebias the exponent from 127 to 15 and round at bit 13; a carry runs into the exponent, at 65520 into infinity
        {
            magnitude = (bits - 0x38000000 + 0xFFF + ((bits >> 13) & 1)) >> 13;
        }
        return (ushort)(sign | magnitude);
    }
}
