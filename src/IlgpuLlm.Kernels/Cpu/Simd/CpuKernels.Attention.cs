using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Attention with an online softmax over blocks of 32 positions: what is summed in which order depends on the token's position alone, not on cache blocks,
/// chunks, threads, nor on the other rows (query heads of tokens) that share the keys and values, which are read once for all of them.
/// </summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    private const int BlockLength = AttentionScratch.BlockLength, TileRows = AttentionScratch.TileRows;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Attend(in AttentionItem item, AttentionScratch scratch)
    {
        int dim = item.Shape.HeadDim, numRows = item.NumTokens * item.NumHeads, end = item.FirstPosition + item.NumTokens;
        new Span<float>(scratch.Sums, numRows * dim).Clear();
        new Span<float>(scratch.Maxima, numRows).Fill(float.NegativeInfinity);
        new Span<float>(scratch.TotalWeights, numRows).Clear();
        int firstVisible = item.Shape.FirstVisible(item.FirstPosition);
        for (int block = firstVisible / BlockLength * BlockLength; block < end; block += BlockLength)
        {
            LocateRows(item, block, Math.Max(firstVisible, block), Math.Min(block + BlockLength, end), scratch);
            for (int row = 0, token = 0, head = 0, rows; row < numRows; row += rows)
            {
                (int first, int count) = Visible(item, token, block);
                // Four rows that see all of the block; the tokens between the first and the last of them see it, too.
                int last = head + TileRows - 1 < item.NumHeads ? token : (row + TileRows - 1) / item.NumHeads;
                bool isTile = count == BlockLength && row + TileRows <= numRows && Visible(item, last, block).Count == BlockLength;
                rows = isTile ? TileRows : 1;
                for (int r = 0; r < rows; r++)
                {
                    float* query = item.Query + (nint)token * item.QueryStride + head * dim;
                    Score(query, scratch.Keys + first, count, dim, (TVec*)scratch.Products, scratch.Scores + r * BlockLength);
                    if (++head == item.NumHeads)
                        (token, head) = (token + 1, 0);
                }
                if (count <= 0)
                    continue;
                Normalise(scratch.Scores, rows, count, item.Shape.Scale, scratch.Maxima + row, scratch.TotalWeights + row, scratch.Corrections + row);
                if (isTile)
                    MicroKernels<TSimd, TVec>.AccumulateTile(scratch.Scores, scratch.Values, BlockLength, dim, scratch.Corrections + row, scratch.Sums + row * dim);
                else
                    MicroKernels<TSimd, TVec>.AccumulateRow(scratch.Scores, scratch.Values + first, count, dim, scratch.Corrections + row, scratch.Sums + row * dim);
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

    /// <summary>What a token sees of a block.</summary>
    private static (int First, int Count) Visible(in AttentionItem item, int token, int block)
    {
        int position = item.FirstPosition + token;
        int first = Math.Max(item.Shape.FirstVisible(position) - block, 0), end = Math.Min(position + 1 - block, BlockLength);
        return (first, end - first);
    }

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
        scratch.Pad(end - block);
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
    /// be multiplied with. All rows' maxima come first: finding one takes long, but several are found at the same time.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalise(float* scores, int rows, int count, float scale, float* maxima, float* totals, float* corrections)
    {
        TVec scales = TSimd.Broadcast(scale);
        for (int row = 0; row < rows; row++)
        {
            float* s = scores + row * BlockLength;
            for (int i = count; i < BlockLength; i++)
                s[i] = float.NegativeInfinity;
            TVec largests = TSimd.Broadcast(float.NegativeInfinity);
            for (int i = 0; i < BlockLength; i += TSimd.Count)
            {
                TVec scaled = TSimd.Mul(TSimd.Load(s + i), scales);
                TSimd.Store(scaled, s + i);
                largests = TSimd.Max(scaled, largests);
            }
            float largest = SimdScalar.Max(TSimd.MaxAcross(largests), maxima[row]);
            // e^0 is 1 exactly, and the usual case: the largest score came early.
            corrections[row] = maxima[row] == largest ? 1 : SimdMath<SimdScalar, float>.Exp(maxima[row] - largest);
            maxima[row] = largest;
        }
        for (int row = 0; row < rows; row++)
        {
            float* s = scores + row * BlockLength;
            TVec largests = TSimd.Broadcast(maxima[row]), sum = default;
            for (int i = 0; i < BlockLength; i += TSimd.Count)
            {
                TVec w = SimdMath<TSimd, TVec>.Exp(TSimd.Sub(TSimd.Load(s + i), largests));
                TSimd.Store(w, s + i);
                sum = TSimd.Add(sum, w);
            }
            totals[row] = totals[row] * corrections[row] + TSimd.Sum(sum);
        }
    }
}
