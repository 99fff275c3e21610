using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Attention with an online softmax over blocks of 32 positions: what is summed in which order depends on the token's position alone, not on cache blocks,
/// chunks, threads, nor on the other rows (query heads of tokens) that share the keys and values, which are read once for all of them.
/// </summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    private const int BlockLength = AttentionScratch.BlockLength;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Attend(in AttentionItem item, AttentionScratch scratch)
    {
        int dim = item.Shape.HeadDim, numRows = item.NumTokens * item.NumHeads, end = item.FirstPosition + item.NumTokens;
        new Span<float>(scratch.Sums, numRows * dim).Clear();
        new Span<float>(scratch.Maxima, numRows).Fill(float.MinValue);
        new Span<float>(scratch.TotalWeights, numRows).Clear();
        int firstVisible = item.Shape.FirstVisible(item.FirstPosition);
        for (int block = firstVisible / BlockLength * BlockLength; block < end; block += BlockLength)
        {
            LocateRows(item, block, Math.Max(firstVisible, block), Math.Min(block + BlockLength, end), scratch);
            // Two rows at once share keys, but these must be transposed first.
            bool inPairs = TSimd.Count > 1 && numRows >= AttentionScratch.TileRows;
            if (inPairs)
                for (int i = 0; i < BlockLength; i += 4)
                    Transpose.FourRows(scratch.Keys[i], scratch.Keys[i + 1], scratch.Keys[i + 2], scratch.Keys[i + 3], dim, 1, scratch.TransposedKeys + i, BlockLength);
            for (int row = 0, rows; row < numRows; row += rows)
            {
                rows = Math.Min(AttentionScratch.TileRows, numRows - row);
                // Positions that one of the tile's rows sees: what others do not see weighs nothing.
                int first = Visible(item, row, block).First, last = Visible(item, row + rows - 1, block).End;
                if (last <= first)
                    continue;
                ScoreRows(item, row, rows, block, first, last, inPairs, scratch);
                Normalise(scratch.Scores, rows, item.Shape.Scale, scratch.Products, scratch.Maxima + row, scratch.TotalWeights + row, scratch.Corrections + row);
                MicroKernels<TSimd, TVec>.Accumulate(scratch.Scores + first, scratch.Values + first, last - first, rows, dim, scratch.Corrections + row, scratch.Sums + row * dim);
            }
        }
        for (int row = 0; row < numRows; row++)
        {
            float* output = item.Output + (nint)(row / item.NumHeads) * item.OutputStride + row % item.NumHeads * dim;
            TVec inverse = TSimd.Broadcast(1 / scratch.TotalWeights[row]);
            for (int d = 0; d < dim; d += TSimd.Count)
                TSimd.Store(TSimd.Mul(TSimd.Load(scratch.Sums + row * dim + d), inverse), output + d);
        }
    }

    /// <summary>What a row sees of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int First, int End) Visible(in AttentionItem item, int row, int block)
    {
        int position = item.FirstPosition + row / item.NumHeads;
        return (Math.Max(item.Shape.FirstVisible(position) - block, 0), Math.Min(position + 1 - block, BlockLength));
    }

    /// <summary>scores[r] = row r . keys, minus infinity where it does not see them. Of the block [first, end) alone need be scored.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScoreRows(in AttentionItem item, int row, int rows, int block, int first, int end, bool inPairs, AttentionScratch scratch)
    {
        int dim = item.Shape.HeadDim, r = 0;
        for (; inPairs && r <= rows - 2; r += 2)
            MicroKernels<TSimd, TVec>.ScorePair(
                Query(item, row + r), Query(item, row + r + 1), scratch.TransposedKeys, dim, scratch.Scores + r * BlockLength, scratch.Scores + (r + 1) * BlockLength);
        for (; r < rows; r++)
            Score(Query(item, row + r), scratch.Keys + first, end - first, dim, (TVec*)scratch.Products, scratch.Scores + r * BlockLength + first);
        for (r = 0; r < rows; r++)
        {
            (int firstOfRow, int endOfRow) = Visible(item, row + r, block);
            if (endOfRow - firstOfRow == BlockLength)
                continue;
            var scores = new Span<float>(scratch.Scores + r * BlockLength, BlockLength);
            scores[..Math.Min(firstOfRow, BlockLength)].Fill(float.NegativeInfinity);
            scores[Math.Max(endOfRow, 0)..].Fill(float.NegativeInfinity);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* Query(in AttentionItem item, int row)
        => item.Query + (nint)(row / item.NumHeads) * item.QueryStride + row % item.NumHeads * item.Shape.HeadDim;

    /// <summary>Finds the rows of positions [first, end) of a block through the block table. Rows of halves and codes are widened on the way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void LocateRows(in AttentionItem item, int block, int first, int end, AttentionScratch scratch)
    {
        int dim = item.Shape.HeadDim, blockSize = item.Cache.BlockSize;
        float* keys = ((CpuBuffer)item.Cache.Keys).Floats, values = ((CpuBuffer)item.Cache.Values).Floats;
        float** keyRows = scratch.Keys, valueRows = scratch.Values;
        bool isHalf = item.Cache.Keys.Type == ElementType.F16;
        float* keyScales = ((CpuBuffer?)item.Cache.Scales?.Keys)?.Floats, valueScales = ((CpuBuffer?)item.Cache.Scales?.Values)?.Floats;
        for (int position = first, next; position < end; position = next)
        {
            int cacheBlock = item.BlockTable[position / blockSize], offsetInBlock = position % blockSize;
            if ((uint)cacheBlock >= (uint)item.Cache.NumBlocks)
                throw new ArgumentException($"the block table names block {cacheBlock} for position {position}; the cache has {item.Cache.NumBlocks} blocks");
            next = Math.Min(end, position + blockSize - offsetInBlock);
            nint row = ((nint)cacheBlock * item.Shape.NumKvHeads + item.KvHead) * blockSize + offsetInBlock, offset = row * dim;
            float* k = keys + offset, v = values + offset;
            if (item.Cache.Keys.Type != ElementType.F32)
            {
                k = scratch.Widened + (position - block) * dim;
                v = k + BlockLength * dim;
            }
            if (isHalf)
            {
                MicroKernels<TSimd, TVec>.Widen((ushort*)keys + offset, k, (next - position) * dim);
                MicroKernels<TSimd, TVec>.Widen((ushort*)values + offset, v, (next - position) * dim);
            }
            else if (keyScales is not null)
            {
                MicroKernels<TSimd, TVec>.WidenCodes((byte*)keys + offset, keyScales + row, k, next - position, dim);
                MicroKernels<TSimd, TVec>.WidenCodes((byte*)values + offset, valueScales + row, v, next - position, dim);
            }
            for (int i = position - block; i < next - block; i++, k += dim, v += dim)
            {
                keyRows[i] = k;
                valueRows[i] = v;
            }
        }
        scratch.Pad(first - block, end - block);
    }

    /// <summary>scores[i] = query . keys[i] for i below count. Products are computed four at a time and added up over the lanes a vector's length at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score(float* query, float** keys, int count, int dim, TVec* products, float* scores)
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
            products[i] = s0;
            products[i + 1] = s1;
            products[i + 2] = s2;
            products[i + 3] = s3;
        }
        for (int i = 0; i < count; i += TSimd.Count)
            TSimd.Store(TSimd.Sums(products + i), scores + i);
    }

    /// <summary>
    /// Turns rows of scores, times a positive scale, into weights relative to the largest score so far and adds them up. Corrections are what earlier sums must
    /// be multiplied with. What each row has once is computed for as many rows as a vector has lanes, where there are so many.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalise(float* scores, int rows, float scale, float* products, float* maxima, float* totals, float* corrections)
    {
        TVec scales = TSimd.Broadcast(scale);
        float* largest = products, sums = products + AttentionScratch.TileRows;
        for (int count; rows > 0; rows -= count, scores += count * BlockLength, maxima += count, totals += count, corrections += count)
        {
            count = Math.Min(TSimd.Count, rows);
            for (int row = 0; row < count; row++)
            {
                TVec largests = TSimd.Broadcast(float.NegativeInfinity);
                for (int i = row * BlockLength; i < (row + 1) * BlockLength; i += TSimd.Count)
                {
                    TVec scaled = TSimd.Mul(TSimd.Load(scores + i), scales);
                    TSimd.Store(scaled, scores + i);
                    largests = TSimd.Max(scaled, largests);
                }
                largest[row] = TSimd.MaxAcross(largests);
            }
            if (count == TSimd.Count)
                Raise(largest, maxima, corrections);
            else
                for (int row = 0; row < count; row++)
                    CpuKernels<SimdScalar, float>.Raise(largest + row, maxima + row, corrections + row);
            for (int row = 0; row < count; row++)
            {
                TVec max = TSimd.Broadcast(maxima[row]), sum = default;
                for (int i = row * BlockLength; i < (row + 1) * BlockLength; i += TSimd.Count)
                {
                    TVec weights = SimdMath<TSimd, TVec>.ExpOfNegative(TSimd.Sub(TSimd.Load(scores + i), max));
                    TSimd.Store(weights, scores + i);
                    sum = TSimd.Add(sum, weights);
                }
                TSimd.Store(sum, sums + row * TSimd.Count);
            }
            if (count == TSimd.Count)
                TSimd.Store(TSimd.Add(TSimd.Mul(TSimd.Load(totals), TSimd.Load(corrections)), TSimd.Sums((TVec*)sums)), totals);
            else
                for (int row = 0; row < count; row++)
                    totals[row] = totals[row] * corrections[row] + TSimd.Sum(((TVec*)sums)[row]);
        }
    }

    /// <summary>
    /// maxima = max(maxima, largest), and what was weighed by the earlier ones is corrected by a power of e. Maxima begin with the least float: the weights of
    /// minus infinity are zero then, too.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Raise(float* largest, float* maxima, float* corrections)
    {
        TVec earlier = TSimd.Load(maxima), raised = TSimd.Max(TSimd.Load(largest), earlier);
        TSimd.Store(SimdMath<TSimd, TVec>.ExpOfNegative(TSimd.Sub(earlier, raised)), corrections);
        TSimd.Store(raised, maxima);
    }
}
