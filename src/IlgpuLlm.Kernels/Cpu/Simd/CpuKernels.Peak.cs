using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu;

internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    /// <inheritdoc/>
    public override int MultiplyAddPeakFlops => 2 * 12 * TSimd.Count;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override float MultiplyAddPeak(int numRounds)
    {
        // 12 chains: enough for 4 cycles on 2 units, and for the 16 registers of AVX2 and SSE.
        TVec x = TSimd.Broadcast(0.5f), a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (int round = 0; round < numRounds; round++)
        {
            a = TSimd.MulAdd(a, x, x);
            b = TSimd.MulAdd(b, x, x);
            c = TSimd.MulAdd(c, x, x);
            d = TSimd.MulAdd(d, x, x);
            e = TSimd.MulAdd(e, x, x);
            f = TSimd.MulAdd(f, x, x);
            g = TSimd.MulAdd(g, x, x);
            h = TSimd.MulAdd(h, x, x);
            i = TSimd.MulAdd(i, x, x);
            j = TSimd.MulAdd(j, x, x);
            k = TSimd.MulAdd(k, x, x);
            l = TSimd.MulAdd(l, x, x);
        }
        TVec first = TSimd.Add(TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d)), TSimd.Add(e, f));
        return TSimd.Sum(TSimd.Add(first, TSimd.Add(TSimd.Add(TSimd.Add(g, h), TSimd.Add(i, j)), TSimd.Add(k, l))));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override float ReadPeak(float* source, int length)
    {
        TVec a = default, b = default, c = default, d = default;
        for (float* end = source + (length - 4 * TSimd.Count); source <= end; source += 4 * TSimd.Count)
        {
            a = TSimd.Add(a, TSimd.Load(source));
            b = TSimd.Add(b, TSimd.Load(source + TSimd.Count));
            c = TSimd.Add(c, TSimd.Load(source + 2 * TSimd.Count));
            d = TSimd.Add(d, TSimd.Load(source + 3 * TSimd.Count));
        }
        return TSimd.Sum(TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d)));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TriadPeak(float* a, float* b, float* c, int length)
    {
        TVec scale = TSimd.Broadcast(3);
        for (int i = 0; i <= length - TSimd.Count; i += TSimd.Count)
            TSimd.Store(TSimd.MulAdd(scale, TSimd.Load(c + i), TSimd.Load(b + i)), a + i);
    }
}
