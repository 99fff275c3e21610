using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Causal attention of one head of one token over its sequence's cached keys and values. A group walks the visible positions in tiles of
/// <see cref="TileSize"/>, counted from the first visible one, with the online softmax of FlashAttention: scores of the tile (a lane a position), its
/// largest, exponentials (a lane a position), and the weighted values (a lane an element of the head). Every sum has one order whatever the group
/// size, the block size or the chunking. The output row holds the unscaled sums between tiles: each lane reads and writes its own elements only.
/// Of codes, a key's scale multiplies its score, and a value's scale its weight.
/// </summary>
internal static class AttentionBody<TFormat, TScaling, TStorage, TRaw, TChunk>
    where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
    where TScaling : struct, ICacheScaling
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TChunk : unmanaged
{
    /// <summary>Positions in a tile: one for each of the 128 lanes of a GPU's group.</summary>
    public const int TileSize = 128;

    internal static void Body(
        ArrayView<float> qkv, ArrayView<TStorage> keys, ArrayView<TStorage> values, ArrayView<float> keyScales, ArrayView<float> valueScales,
        ArrayView<int> positions, ArrayView<int> tokenSequences, ArrayView<int> blockTables, ArrayView<float> output, HeadLayout layout)
    {
        int token = Grid.IdxX / layout.NumHeads;
        int head = Grid.IdxX % layout.NumHeads;
        int kvHead = head / (layout.NumHeads / layout.NumKvHeads);
        long query = ((long)token * (layout.NumHeads + 2 * layout.NumKvHeads) + head) * layout.HeadDim;
        long result = ((long)token * layout.NumHeads + head) * layout.HeadDim;
        long blocks = (long)tokenSequences[token] * layout.MaxBlocksPerSeq;
        int end = positions[token] + 1;
        int first = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, end - layout.SlidingWindow) : 0;

        // One allocation, as the CPU accelerator makes a new one for each group; of longs, for their alignment.
        var shared = SharedMemory.Allocate<long>((TScaling.HasScales ? 3 : 2) * TileSize);
        var rows = shared.SubView(0, TileSize);
        var floats = shared.SubView(TileSize, (TScaling.HasScales ? 2 : 1) * TileSize).Cast<float>();
        var scores = floats.SubView(0, TileSize);
        var weights = floats.SubView(TileSize, TileSize);
        var scaledWeights = floats.SubView(TScaling.HasScales ? 2 * TileSize : TileSize, TileSize);
        float largest = float.NegativeInfinity;
        float sum = 0f;

        for (int tile = first; tile < end; tile += TileSize)
        {
            int count = IntrinsicMath.Min(TileSize, end - tile);
            for (int i = Group.IdxX; i < count; i += Group.DimX)
            {
                int position = tile + i;
                int block = blockTables[blocks + position / layout.BlockSize], offset = position % layout.BlockSize;
                long row = layout.CacheRow(block, offset, kvHead);
                rows[i] = row;
                float score = Dot(keys, row, qkv, query, layout.HeadDim);
                if (TScaling.HasScales)
                {
                    long number = layout.RowNumber(block, offset, kvHead);
                    score *= keyScales[number];
                    scaledWeights[i] = valueScales[number];
                }
                scores[i] = score * layout.Scale;
            }
            GroupOps.Barrier();

            float largestBefore = largest;
            for (int i = 0; i < count; i++)
                largest = IntrinsicMath.Max(largest, scores[i]);
            for (int i = Group.IdxX; i < count; i += Group.DimX)
            {
                float weight = DeviceMath.Exp(scores[i] - largest);
                weights[i] = weight;
                if (TScaling.HasScales)
                    scaledWeights[i] *= weight;
            }
            GroupOps.Barrier();

            float rescale = DeviceMath.Exp(largestBefore - largest); // 0 for the first tile
            sum *= rescale;
            for (int i = 0; i < count; i++)
                sum += weights[i];
            float scale = tile + TileSize < end ? 1f : 1f / sum;
            for (int d = Group.IdxX; d < layout.HeadDim; d += Group.DimX)
            {
                float before = tile == first ? 0f : output[result + d] * rescale;
                output[result + d] = Accumulate(values, rows, scaledWeights, d, count, before) * scale;
            }
            GroupOps.Barrier();
        }
    }

    /// <summary>keys[row...] . x[query...], in order, with four loads in flight a lane.</summary>
    private static float Dot(ArrayView<TStorage> keys, long row, ArrayView<float> x, long query, int headDim)
    {
        const int Stages = 4;
        float sum = 0f;
        int d = 0;
        for (; d + Stages * TFormat.Width <= headDim; d += Stages * TFormat.Width)
        {
            TRaw a = TFormat.Load(keys, row + d);
            TRaw b = TFormat.Load(keys, row + d + TFormat.Width);
            TRaw c = TFormat.Load(keys, row + d + 2 * TFormat.Width);
            TRaw e = TFormat.Load(keys, row + d + 3 * TFormat.Width);
            sum = TFormat.Dot(TFormat.Widen(a), x, query + d, sum);
            sum = TFormat.Dot(TFormat.Widen(b), x, query + d + TFormat.Width, sum);
            sum = TFormat.Dot(TFormat.Widen(c), x, query + d + 2 * TFormat.Width, sum);
            sum = TFormat.Dot(TFormat.Widen(e), x, query + d + 3 * TFormat.Width, sum);
        }
        for (; d + TFormat.Width <= headDim; d += TFormat.Width)
            sum = TFormat.Dot(TFormat.Widen(TFormat.Load(keys, row + d)), x, query + d, sum);
        for (; d < headDim; d++)
            sum += TFormat.WidenOne(keys[row + d]) * x[query + d];
        return sum;
    }

    /// <summary>sum + weights . values[rows, d], in order. Four loads in flight a lane, as nothing else hides their latency at one sequence.</summary>
    private static float Accumulate(ArrayView<TStorage> values, ArrayView<long> rows, ArrayView<float> weights, int d, int count, float sum)
    {
        int i = 0;
        for (; i + 3 < count; i += 4)
        {
            TStorage a = values[rows[i] + d];
            TStorage b = values[rows[i + 1] + d];
            TStorage c = values[rows[i + 2] + d];
            TStorage e = values[rows[i + 3] + d];
            sum += weights[i] * TFormat.WidenOne(a);
            sum += weights[i + 1] * TFormat.WidenOne(b);
            sum += weights[i + 2] * TFormat.WidenOne(c);
            sum += weights[i + 3] * TFormat.WidenOne(e);
        }
        for (; i < count; i++)
            sum += weights[i] * TFormat.WidenOne(values[rows[i] + d]);
        return sum;
    }
}

/// <summary>Whether keys and values have scales.</summary>
internal interface ICacheScaling
{
    static abstract bool HasScales { get; }
}

/// <summary>Floats and halves.</summary>
internal readonly struct Unscaled : ICacheScaling
{
    public static bool HasScales => false;
}

/// <summary>Codes: a scale a key and a value.</summary>
internal readonly struct Scaled : ICacheScaling
{
    public static bool HasScales => true;
}
