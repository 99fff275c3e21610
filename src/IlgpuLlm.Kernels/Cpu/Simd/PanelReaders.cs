using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>How a kernel reads the two vectors of weights that one input meets in a panel.</summary>
internal unsafe interface IPanelReader<TVec>
    where TVec : unmanaged
{
    /// <summary>Bytes of those two vectors.</summary>
    static abstract int Stride { get; }

    /// <summary>What sums of inputs that were packed with the format's scale are multiplied with.</summary>
    static abstract float SumScale { get; }

    static abstract void Load(byte* source, out TVec b0, out TVec b1);
}

/// <summary>Panels of floats.</summary>
internal readonly unsafe struct FloatPanels<TSimd, TVec> : IPanelReader<TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static int Stride => 2 * TSimd.Count * sizeof(float);

    public static float SumScale => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out TVec b0, out TVec b1)
    {
        b0 = TSimd.Load((float*)source);
        b1 = TSimd.Load((float*)source + TSimd.Count);
    }
}

/// <summary>Panels of <see cref="PackedHalf"/>, widened in registers.</summary>
internal readonly unsafe struct HalfPanels<TSimd, TVec> : IPanelReader<TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static int Stride => 2 * TSimd.Count * sizeof(ushort);

    public static float SumScale => PackedHalf.SumScale;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out TVec b0, out TVec b1)
    {
        Prefetch.Soon(source);
        b0 = TSimd.LoadPackedHalf((ushort*)source);
        b1 = TSimd.LoadPackedHalf((ushort*)source + TSimd.Count);
    }
}

/// <summary>Panels of <see cref="PackedHalf"/> that were widened before.</summary>
internal readonly unsafe struct WidenedHalfPanels<TSimd, TVec> : IPanelReader<TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static int Stride => FloatPanels<TSimd, TVec>.Stride;

    public static float SumScale => PackedHalf.SumScale;

    public static void Load(byte* source, out TVec b0, out TVec b1) => FloatPanels<TSimd, TVec>.Load(source, out b0, out b1);
}
