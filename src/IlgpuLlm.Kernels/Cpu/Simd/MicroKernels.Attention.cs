using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Products of attention. Scores are sums over a vector's lanes, as <see cref="ISimd{TVec}.Sum"/> computes them; weighted sums of values are one chain an
/// element, from zero, then added.
/// </summary>
internal static unsafe partial class MicroKernels<TSimd, TVec>
{
    /// <summary>
    /// scores[i] = query . key i for two queries and all keys of a block, which lie [dim, <see cref="AttentionScratch.BlockLength"/>]: the lanes are keys here,
    /// so that nothing is added up across them, but products are added in the order of <see cref="ISimd{TVec}.Sum"/>, to the same bits.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ScorePair(float* query0, float* query1, float* keys, int dim, float* scores0, float* scores1)
    {
        for (int i = 0; i < AttentionScratch.BlockLength; i += 2 * TSimd.Count)
        {
            var low = PairSums.Add(QuarterOfLanes(query0, query1, keys + i, dim), QuarterOfLanes(query0 + 1, query1 + 1, keys + i + AttentionScratch.BlockLength, dim));
            var high = PairSums.Add(
                QuarterOfLanes(query0 + 2, query1 + 2, keys + i + 2 * AttentionScratch.BlockLength, dim),
                QuarterOfLanes(query0 + 3, query1 + 3, keys + i + 3 * AttentionScratch.BlockLength, dim));
            var sums = PairSums.Add(low, high);
            TSimd.Store(sums.First0, scores0 + i);
            TSimd.Store(sums.First1, scores0 + i + TSimd.Count);
            TSimd.Store(sums.Second0, scores1 + i);
            TSimd.Store(sums.Second1, scores1 + i + TSimd.Count);
        }
    }

    /// <summary>The products of every fourth element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static PairSums QuarterOfLanes(float* query0, float* query1, float* keys, int dim)
    {
        const int Four = 4 * AttentionScratch.BlockLength;
        PairSums a = default, b = default, c = default, d = default;
        for (int k = 0; k < dim; k += TSimd.Count, query0 += TSimd.Count, query1 += TSimd.Count, keys += TSimd.Count * AttentionScratch.BlockLength)
        {
            a.MulAdd(query0, query1, keys);
            if (TSimd.Count > 4)
                b.MulAdd(query0 + 4, query1 + 4, keys + Four);
            if (TSimd.Count > 8)
            {
                c.MulAdd(query0 + 8, query1 + 8, keys + 2 * Four);
                d.MulAdd(query0 + 12, query1 + 12, keys + 3 * Four);
            }
        }
        return TSimd.Count <= 4 ? a : TSimd.Count <= 8 ? PairSums.Add(a, b) : PairSums.Add(PairSums.Add(a, c), PairSums.Add(b, d));
    }

    /// <summary>Row by row sums = sums * correction + weights . values: weights [rows, <see cref="AttentionScratch.BlockLength"/>], sums [rows, dim].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Accumulate(float* weights, float** values, int count, int rows, int dim, float* corrections, float* sums)
    {
        int row = 0;
        for (; TSimd.TileRows >= 8 && row <= rows - 8; row += 8)
            Accumulate<Both<Both<Both<One, One>, Both<One, One>>, Both<Both<One, One>, Both<One, One>>>>(
                weights + row * AttentionScratch.BlockLength, values, count, dim, corrections + row, sums + row * dim);
        for (; row <= rows - 4; row += 4)
            Accumulate<Both<Both<One, One>, Both<One, One>>>(weights + row * AttentionScratch.BlockLength, values, count, dim, corrections + row, sums + row * dim);
        for (; row < rows; row++)
            Accumulate<One>(weights + row * AttentionScratch.BlockLength, values, count, dim, corrections + row, sums + row * dim);
    }

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

    /// <summary>Sums of two queries and two vectors of keys.</summary>
    private struct PairSums
    {
        public TVec First0;
        public TVec First1;
        public TVec Second0;
        public TVec Second1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static PairSums Add(in PairSums a, in PairSums b) => new()
        {
            First0 = TSimd.Add(a.First0, b.First0),
            First1 = TSimd.Add(a.First1, b.First1),
            Second0 = TSimd.Add(a.Second0, b.Second0),
            Second1 = TSimd.Add(a.Second1, b.Second1),
        };

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void MulAdd(float* query0, float* query1, float* keys)
        {
            TVec key0 = TSimd.Load(keys), key1 = TSimd.Load(keys + TSimd.Count), first = TSimd.Broadcast(*query0), second = TSimd.Broadcast(*query1);
            First0 = TSimd.MulAdd(first, key0, First0);
            First1 = TSimd.MulAdd(first, key1, First1);
            Second0 = TSimd.MulAdd(second, key0, Second0);
            Second1 = TSimd.MulAdd(second, key1, Second1);
        }
    }
}
