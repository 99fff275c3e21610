using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Attention with an online softmax over blocks of 32 positions, counted from the first visible one: what is summed in which order depends on the
/// token's position alone, not on cache blocks, chunks or threads. Keys and values are read once for all heads that share them.
/// </summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    private const int BlockLength = AttentionScratch.BlockLength;

    /// <inheritdoc/>
    public override void Attend(in AttentionItem item, AttentionScratch scratch)
    {
        int dim = item.HeadDim;
        new Span<float>(scratch.Sums, item.NumHeads * dim).Clear();
        new Span<float>(scratch.Maxima, item.NumHeads).Fill(float.NegativeInfinity);
        new Span<float>(scratch.Weights, item.NumHeads).Clear();
        for (int first = item.FirstVisible; first <= item.Position; first += BlockLength)
        {
            int count = Math.Min(BlockLength, item.Position + 1 - first);
            LocateRows(item, first, count, scratch);
            for (int head = 0; head < item.NumHeads; head++)
            {
                Score(item.Query + head * dim, scratch.Keys, count, dim, scratch.Scores);
                float correction = Normalise(scratch.Scores, count, item.Scale, ref scratch.Maxima[head], ref scratch.Weights[head]);
                Accumulate(scratch.Scores, scratch.Values, count, dim, correction, scratch.Sums + head * dim);
            }
        }
        for (int head = 0; head < item.NumHeads; head++)
        {
            TVec inverse = TSimd.Broadcast(1 / scratch.Weights[head]);
            for (int d = 0; d < dim; d += TSimd.Count)
                TSimd.Store(TSimd.Mul(TSimd.Load(scratch.Sums + head * dim + d), inverse), item.Output + head * dim + d);
        }
    }

    /// <summary>Finds the rows of <paramref name="count"/> positions through the block table. F16 rows are widened on the way.</summary>
    private static void LocateRows(in AttentionItem item, int first, int count, AttentionScratch scratch)
    {
        int dim = item.HeadDim, blockSize = item.Cache.BlockSize;
        byte* keys = ((CpuBuffer)item.Cache.Keys).Pointer, values = ((CpuBuffer)item.Cache.Values).Pointer;
        bool isHalf = item.Cache.Keys.Type == ElementType.F16;
        for (int i = 0; i < count; i++)
        {
            int position = first + i, block = item.BlockTable[position / blockSize];
            if ((uint)block >= (uint)item.Cache.NumBlocks)
                throw new ArgumentException($"the block table names block {block} for position {position}; the cache has {item.Cache.NumBlocks} blocks");
            long offset = (((long)block * item.NumKvHeads + item.KvHead) * blockSize + position % blockSize) * dim;
            if (isHalf)
            {
                scratch.Keys[i] = scratch.Widened + i * dim;
                scratch.Values[i] = scratch.Widened + (BlockLength + i) * dim;
                MicroKernels<TSimd, TVec>.Widen((ushort*)keys + offset, scratch.Keys[i], dim);
                MicroKernels<TSimd, TVec>.Widen((ushort*)values + offset, scratch.Values[i], dim);
            }
            else
            {
                scratch.Keys[i] = (float*)keys + offset;
                scratch.Values[i] = (float*)values + offset;
            }
        }
        // Scores are computed four at a time: the last ones again where count is no multiple of four.
        for (int i = count; i % 4 != 0; i++)
            scratch.Keys[i] = scratch.Keys[count - 1];
    }

    /// <summary>scores[i] = query . keys[i] for i below count.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score(float* query, float** keys, int count, int dim, float* scores)
    {
        for (int i = 0; i < count; i += 4)
        {
            float* k0 = keys[i], k1 = keys[i + 1], k2 = keys[i + 2], k3 = keys[i + 3];
            TVec s0 = default, s1 = default, s2 = default, s3 = default;
            for (int d = 0; d < dim; d += TSimd.Count)
            {
                TVec q = TSimd.Load(query + d);
                s0 = TSimd.MulAdd(q, TSimd.Load(k0 + d), s0);
                s1 = TSimd.MulAdd(q, TSimd.Load(k1 + d), s1);
                s2 = TSimd.MulAdd(q, TSimd.Load(k2 + d), s2);
                s3 = TSimd.MulAdd(q, TSimd.Load(k3 + d), s3);
            }
            TSimd.StoreSums(s0, s1, s2, s3, scores + i);
        }
    }

    /// <summary>
    /// Turns scores, times a positive scale, into weights relative to the largest score so far and adds them up. Returns what earlier sums must be multiplied with.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Normalise(float* scores, int count, float scale, ref float maximum, ref float weight)
    {
        for (int i = count; i < BlockLength; i++)
            scores[i] = float.NegativeInfinity;
        TVec largests = TSimd.Broadcast(float.NegativeInfinity), scales = TSimd.Broadcast(scale), sum = default;
        for (int i = 0; i < BlockLength; i += TSimd.Count)
        {
            TVec scaled = TSimd.Mul(TSimd.Load(scores + i), scales);
            TSimd.Store(scaled, scores + i);
            largests = TSimd.Max(scaled, largests);
        }
        float largest = SimdScalar.Max(TSimd.MaxAcross(largests), maximum);
        largests = TSimd.Broadcast(largest);
        for (int i = 0; i < BlockLength; i += TSimd.Count)
        {
            TVec w = SimdMath<TSimd, TVec>.Exp(TSimd.Sub(TSimd.Load(scores + i), largests));
            TSimd.Store(w, scores + i);
            sum = TSimd.Add(sum, w);
        }
        float correction = SimdMath<SimdScalar, float>.Exp(maximum - largest);
        maximum = largest;
        weight = weight * correction + TSimd.Sum(sum);
        return correction;
    }

    /// <summary>sums = sums * correction + weights . values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Accumulate(float* weights, float** values, int count, int dim, float correction, float* sums)
    {
        TVec corrections = TSimd.Broadcast(correction);
        int d = 0;
        for (; d <= dim - 4 * TSimd.Count; d += 4 * TSimd.Count)
        {
            float* target = sums + d;
            TVec s0 = TSimd.Mul(TSimd.Load(target), corrections), s1 = TSimd.Mul(TSimd.Load(target + TSimd.Count), corrections);
            TVec s2 = TSimd.Mul(TSimd.Load(target + 2 * TSimd.Count), corrections), s3 = TSimd.Mul(TSimd.Load(target + 3 * TSimd.Count), corrections);
            for (int i = 0; i < count; i++)
            {
                float* v = values[i] + d;
                TVec w = TSimd.Broadcast(weights[i]);
                s0 = TSimd.MulAdd(w, TSimd.Load(v), s0);
                s1 = TSimd.MulAdd(w, TSimd.Load(v + TSimd.Count), s1);
                s2 = TSimd.MulAdd(w, TSimd.Load(v + 2 * TSimd.Count), s2);
                s3 = TSimd.MulAdd(w, TSimd.Load(v + 3 * TSimd.Count), s3);
            }
            TSimd.Store(s0, target);
            TSimd.Store(s1, target + TSimd.Count);
            TSimd.Store(s2, target + 2 * TSimd.Count);
            TSimd.Store(s3, target + 3 * TSimd.Count);
        }
        for (; d < dim; d += TSimd.Count)
        {
            TVec s = TSimd.Mul(TSimd.Load(sums + d), corrections);
            for (int i = 0; i < count; i++)
                s = TSimd.MulAdd(TSimd.Broadcast(weights[i]), TSimd.Load(values[i] + d), s);
            TSimd.Store(s, sums + d);
        }
    }
}
