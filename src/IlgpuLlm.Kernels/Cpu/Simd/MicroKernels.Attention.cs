using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// sums = sums * correction + weights . values for rows that see the same positions, weights being [rows, <see cref="AttentionScratch.BlockLength"/>]: each
/// element is one chain from zero, then added.
/// </summary>
internal static unsafe partial class MicroKernels<TSimd, TVec>
{
    /// <summary>One row: sums [dim].</summary>
    public static void AccumulateRow(float* weights, float** values, int count, int dim, float* correction, float* sums)
        => Accumulate<One>(weights, values, count, dim, correction, sums);

    /// <summary>Four rows: sums [4, dim].</summary>
    public static void AccumulateTile(float* weights, float** values, int count, int dim, float* corrections, float* sums)
        => Accumulate<Both<Both<One, One>, Both<One, One>>>(weights, values, count, dim, corrections, sums);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Accumulate<TRows>(float* weights, float** values, int count, int dim, float* corrections, float* sums)
        where TRows : unmanaged, ITile
    {
        for (int d = 0; d < dim; d += 2 * TSimd.Count)
        {
            // A last single vector is computed twice.
            int numVectors = Math.Min(2, (dim - d) / TSimd.Count), second = (numVectors - 1) * TSimd.Count;
            TRows rows = default;
            for (int i = 0; i < count; i++)
            {
                float* value = values[i] + d;
                rows.MulAdd(weights + i, AttentionScratch.BlockLength, TSimd.Load(value), TSimd.Load(value + second));
            }
            TRows added = rows;
            TVec* end = (TVec*)(&added + 1);
            float* target = sums + d, correction = corrections;
            for (TVec* row = (TVec*)&added; row < end; row += 2, correction++, target += dim)
                for (int v = 0; v < numVectors; v++)
                    TSimd.Store(TSimd.MulAdd(TSimd.Load(target + v * TSimd.Count), TSimd.Broadcast(*correction), row[v]), target + v * TSimd.Count);
        }
    }
}
