using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>Functions made of <see cref="ISimd{TVec}"/> operations.</summary>
internal static class SimdMath<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>1.5 * 2^23: adding it rounds to an integer, in every width alike.</summary>
    private const float Magic = 12582912f;

    /// <summary>
    /// e^x to within 1 ulp for all x (0.997, measured over every 1,009th float; NaN stays NaN). The polynomial is that of Cephes' expf; the power of two is
    /// applied in two halves, so that subnormal results, zero and infinity come out right.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Exp(TVec x)
    {
        TVec p = Reduce(TSimd.Min(TSimd.Broadcast(89f), TSimd.Max(TSimd.Broadcast(-104f), x)), out TVec n);
        TVec half = Round(TSimd.MulAdd(n, TSimd.Broadcast(0.5f), TSimd.Broadcast(Magic)));
        return TSimd.Mul(TSimd.Mul(p, TSimd.PowerOfTwo(half)), TSimd.PowerOfTwo(TSimd.Sub(n, half)));
    }

    /// <summary>
    /// The same for x not above zero, but zero where the power of two is not a normal float: hardly a result is subnormal, for which Intel's processors take
    /// 41 instead of 1.3 ns. That of zero is 1.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec ExpOfNegative(TVec x)
    {
        // Of n = -127 the power has the bits of zero.
        TVec p = Reduce(TSimd.Max(TSimd.Broadcast(-88f), x), out TVec n);
        return TSimd.Mul(p, TSimd.PowerOfTwo(n));
    }

    /// <summary>x / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Silu(TVec x) => TSimd.Div(x, TSimd.Add(TSimd.Broadcast(1f), Exp(TSimd.Sub(TSimd.Broadcast(0f), x))));

    /// <summary>e^x = result * 2^n.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec Reduce(TVec x, out TVec n)
    {
        n = Round(TSimd.MulAdd(x, TSimd.Broadcast(1.44269504f), TSimd.Broadcast(Magic)));
        // ln 2 in two parts, the first of 9 bits: n * first is exact without a fused multiply-add, too.
        TVec r = TSimd.MulAdd(n, TSimd.Broadcast(-0.693359375f), x);
        r = TSimd.MulAdd(n, TSimd.Broadcast(2.12194440e-4f), r);
        TVec p = TSimd.Broadcast(1.9875691500e-4f);
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(1.3981999507e-3f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(8.3334519073e-3f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(4.1665795894e-2f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(1.6666665459e-1f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(5.0000001201e-1f));
        return TSimd.Add(TSimd.MulAdd(p, TSimd.Mul(r, r), r), TSimd.Broadcast(1f));
    }

    /// <summary>What is left of a number after adding <see cref="Magic"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec Round(TVec shifted) => TSimd.Sub(shifted, TSimd.Broadcast(Magic));
}
