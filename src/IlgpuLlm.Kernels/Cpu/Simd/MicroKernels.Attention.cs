using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>sums = sums * correction + weights . values for rows that see the same positions: each element is one chain from zero, then added.</summary>
internal static unsafe partial class MicroKernels<TSimd, TVec>
{
    /// <summary>One row: weights [count], sums [dim].</summary>
    public static void AccumulateRow(float* weights, float** values, int count, int dim, float* correction, float* sums)
        => Accumulate<One>(weights, values, count, dim, correction, sums);

    /// <summary>Four rows: weights [count, 4], sums [4, dim].</summary>
    public static void AccumulateTile(float* weights, float** values, int count, int dim, float* corrections, float* sums)
        => Accumulate<Both<Both<One, One>, Both<One, One>>>(weights, values, count, dim, corrections, sums);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Accumulate<TRows>(float* weights, float** values, int count, int dim, float* corrections, float* sums)
        where TRows : unmanaged, ITile
    {
        int d = 0;
        for (; d <= dim - 2 * TSimd.Count; d += 2 * TSimd.Count)
        {
            TRows rows = default;
            float* w = weights;
            for (int i = 0; i < count; i++)
                w = rows.MulAdd(w, TSimd.Load(values[i] + d), TSimd.Load(values[i] + d + TSimd.Count));
            TRows added = rows;
            Correct((TVec*)&added, (TVec*)(&added + 1), 2, corrections, sums + d, dim);
        }
        if (d < dim) // a last single vector
        {
            TRows rows = default;
            float* w = weights;
            for (int i = 0; i < count; i++)
            {
                TVec value = TSimd.Load(values[i] + d);
                w = rows.MulAdd(w, value, value);
            }
            TRows added = rows;
            Correct((TVec*)&added, (TVec*)(&added + 1), 1, corrections, sums + d, dim);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Correct(TVec* added, TVec* end, int numVectors, float* corrections, float* sums, int dim)
    {
        for (; added < end; added += 2, corrections++, sums += dim)
            for (int v = 0; v < numVectors; v++)
                TSimd.Store(TSimd.MulAdd(TSimd.Load(sums + v * TSimd.Count), TSimd.Broadcast(*corrections), added[v]), sums + v * TSimd.Count);
    }
}
