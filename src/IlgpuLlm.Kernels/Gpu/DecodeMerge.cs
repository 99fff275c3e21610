using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the four warps of a decode group leave in shared memory, a row a warp and query head.</summary>
internal struct DecodeResults
{
    /// <summary>[4, MaxHeads, Pitch]: the weighted values. Overwritten.</summary>
    public ArrayView<Float4> Sums;

    /// <summary>[4, MaxHeads]: the largest score. Overwritten.</summary>
    public ArrayView<float> Maxima;

    /// <summary>[4, MaxHeads]: the sum of the weights. Overwritten.</summary>
    public ArrayView<float> WeightSums;
    public int MaxHeads;

    /// <summary>Chunks of four elements of the largest head, a power of two: a lane has one of one head at a time.</summary>
    public int Chunks;

    /// <summary>Chunks from a row of sums to the next.</summary>
    public int Pitch;
}

/// <summary>A chunk of a split's weighted values, with the largest score and the sum of the weights of its head.</summary>
internal struct DecodePartial
{
    public Float4 Values;
    public float Top, Total;
}

/// <summary>The weights of up to eight splits, in order, and 1 / their sum.</summary>
internal struct DecodeWeights
{
    public Float4 Low, High;
    public float Inverse;
}

/// <summary>
/// How the decode kernels that share a sequence among groups end: the warps' results are added in order; where a sequence has several splits, the last
/// group to come adds those in order of position. <see cref="DecodeCluster{TElement, T}"/> gives the same bits.
/// </summary>
internal static class DecodeMerge<TElement, T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    private const int Warps = 4;
    private const int SplitLimit = 32; // a lane a split
    private const int AtATime = 4; // splits whose values are under way together

    /// <summary>Positions of a split: so many, or more where a sequence would have too many splits. A power of two times the smallest.</summary>
    public static int SplitSize(int smallest, int length, int maxSplits)
    {
        int size = smallest;
        while (size * maxSplits < length)
            size *= 2;
        return size;
    }

    /// <summary>Writes the group's part of the output, or its partial results. All lanes come here, after a barrier.</summary>
    public static void Finish(DecodeArguments<T> arguments, HeadLayout layout, DecodeResults results, int numSplits)
    {
        int kvHead = Grid.IdxX, sequence = Grid.IdxY, split = Grid.IdxZ;
        int heads = layout.HeadsOfGroup, lane = Group.IdxX & 31;
        int numTasks = heads * results.Chunks;
        long output = FirstOutput(layout);
        // Of the sequence and head: [maxSplits, heads, headDim] values, then [heads, maxSplits] pairs of largest score and sum of weights.
        int counter = sequence * layout.NumKvHeads + kvHead;
        long splitLength = heads * layout.HeadDim, values = (long)counter * arguments.MaxSplits * heads * (layout.HeadDim + 2);
        long pairs = values + arguments.MaxSplits * splitLength;
        for (int i = Group.IdxX; i < numTasks; i += Group.DimX)
        {
            int row = i / results.Chunks, element = 4 * (i & (results.Chunks - 1));
            if (element >= layout.HeadDim)
                continue;
            DecodePartial partial = AddWarps(results, row, element / 4);
            if (numSplits == 1)
            {
                TElement.Store4(arguments.Output, output + row * layout.HeadDim + element, Scale(partial.Values, 1f / partial.Total));
                continue;
            }
            F32Element.Store4(arguments.Partials, values + split * splitLength + row * layout.HeadDim + element, partial.Values);
            if (element == 0)
            {
                long pair = pairs + (row * arguments.MaxSplits + split) * 2;
                arguments.Partials[pair] = partial.Top;
                arguments.Partials[pair + 1] = partial.Total;
            }
        }
        if (numSplits == 1)
            return;

        // The group that comes last adds up the splits.
        Group.Barrier(); // also: nobody reads the warps' results any more
        if (Group.IdxX == 0)
        {
            PtxIntrinsics.FenceDevice(); // for all lanes, as it stands between barriers
            results.Maxima[0] = Atomic.Add(ref arguments.Counters[counter], 1) == numSplits - 1 ? 1f : 0f;
            PtxIntrinsics.FenceDevice();
        }
        Group.Barrier();
        if (results.Maxima[0] == 0f)
            return;
        if (Group.IdxX == 0)
            arguments.Counters[counter] = 0; // for the next launch
        // The first values come while the weights are made.
        long stride = splitLength * sizeof(float), from = arguments.PartialsAddress + values * sizeof(float);
        Four<Float4> loaded = default;
        if (Group.IdxX < numTasks)
            loaded = Load(from, Place(results, layout, Group.IdxX), stride, 0, numSplits - 1);
        var weights = results.Sums.Cast<float>();
        for (int row = Group.IdxX >> 5; row < heads; row += Warps)
        {
            // A lane a split. Absent ones count nothing.
            Float2 pair = new() { X = float.NegativeInfinity };
            if (lane < numSplits)
                pair = PtxIntrinsics.LoadFromOthers2(arguments.PartialsAddress + (pairs + (row * arguments.MaxSplits + lane) * 2) * sizeof(float));
            float weight = PtxIntrinsics.Exp2(pair.X - WarpMax(pair.X));
            weights[row * SplitLimit + lane] = weight;
            float total = WarpSum(PtxIntrinsics.Multiply(weight, pair.Y));
            if (lane == 0)
                results.WeightSums[row] = 1f / total;
        }
        Group.Barrier();
        for (int i = Group.IdxX; i < numTasks; i += Group.DimX)
        {
            int row = i / results.Chunks, element = 4 * (i & (results.Chunks - 1));
            Float4 sum = default;
            for (int part = 0; part < numSplits; part += AtATime)
            {
                if (part > 0 || i >= Group.DimX)
                    loaded = Load(from, Place(results, layout, i), stride, part, numSplits - 1);
                // Beyond the last split weights are 0.
                int w = row * SplitLimit + part;
                sum = Add(sum, loaded.A, weights[w]);
                sum = Add(sum, loaded.B, weights[w + 1]);
                sum = Add(sum, loaded.C, weights[w + 2]);
                sum = Add(sum, loaded.D, weights[w + 3]);
            }
            if (element < layout.HeadDim)
                TElement.Store4(arguments.Output, output + row * layout.HeadDim + element, Scale(sum, results.WeightSums[row]));
        }
    }

    /// <summary>The first element of the output of this group's heads.</summary>
    public static long FirstOutput(HeadLayout layout) =>
        ((long)Grid.IdxY * layout.NumHeads + Grid.IdxX * layout.HeadsOfGroup) * layout.HeadDim;

    /// <summary>A chunk of a head's values, the warps' added in order.</summary>
    public static DecodePartial AddWarps(DecodeResults results, int row, int chunk)
    {
        int maxHeads = results.MaxHeads;
        var (sums, maxima, weightSums) = (results.Sums, results.Maxima, results.WeightSums);
        float a = maxima[row], b = maxima[maxHeads + row], c = maxima[2 * maxHeads + row], d = maxima[3 * maxHeads + row];
        float top = IntrinsicMath.Max(IntrinsicMath.Max(a, b), IntrinsicMath.Max(c, d));
        a = PtxIntrinsics.Exp2(a - top);
        b = PtxIntrinsics.Exp2(b - top);
        c = PtxIntrinsics.Exp2(c - top);
        d = PtxIntrinsics.Exp2(d - top);
        int from = row * results.Pitch + chunk, stride = maxHeads * results.Pitch;
        float total = PtxIntrinsics.Multiply(weightSums[row], a);
        total = PtxIntrinsics.MultiplyAdd(weightSums[maxHeads + row], b, total);
        total = PtxIntrinsics.MultiplyAdd(weightSums[2 * maxHeads + row], c, total);
        return new()
        {
            Values = Add(Add(Add(Add(default, sums[from], a), sums[from + stride], b), sums[from + 2 * stride], c), sums[from + 3 * stride], d),
            Top = top,
            Total = PtxIntrinsics.MultiplyAdd(weightSums[3 * maxHeads + row], d, total),
        };
    }

    /// <summary>The weights of up to eight splits, not yet divided by their sum: what <see cref="Finish"/> makes of them in a warp, bit for bit.</summary>
    /// <param name="tops">The largest scores; negative infinity for those that are absent.</param>
    /// <param name="totals">The sums of their weights; any finite number where absent.</param>
    public static DecodeWeights Weigh(Float8 tops, Float8 totals)
    {
        float top = IntrinsicMath.Max(Largest(tops.Low), Largest(tops.High));
        Float4 low = Weights(tops.Low, top), high = Weights(tops.High, top);
        // A warp adds halves of itself.
        Float4 pairs = new()
        {
            X = PtxIntrinsics.Multiply(low.X, totals.Low.X) + PtxIntrinsics.Multiply(high.X, totals.High.X),
            Y = PtxIntrinsics.Multiply(low.Y, totals.Low.Y) + PtxIntrinsics.Multiply(high.Y, totals.High.Y),
            Z = PtxIntrinsics.Multiply(low.Z, totals.Low.Z) + PtxIntrinsics.Multiply(high.Z, totals.High.Z),
            W = PtxIntrinsics.Multiply(low.W, totals.Low.W) + PtxIntrinsics.Multiply(high.W, totals.High.W),
        };
        return new() { Low = low, High = high, Inverse = 1f / (pairs.X + pairs.Z + (pairs.Y + pairs.W)) };
    }

    /// <summary>sum + values * weight.</summary>
    public static Float4 Add(Float4 sum, Float4 values, float weight) => new()
    {
        X = PtxIntrinsics.MultiplyAdd(values.X, weight, sum.X),
        Y = PtxIntrinsics.MultiplyAdd(values.Y, weight, sum.Y),
        Z = PtxIntrinsics.MultiplyAdd(values.Z, weight, sum.Z),
        W = PtxIntrinsics.MultiplyAdd(values.W, weight, sum.W),
    };

    public static Float4 Scale(Float4 values, float factor) =>
        new() { X = values.X * factor, Y = values.Y * factor, Z = values.Z * factor, W = values.W * factor };

    /// <summary>Where a task's values are within a split, in bytes; somewhere within it for a task beyond the head.</summary>
    private static long Place(DecodeResults results, HeadLayout layout, int task)
    {
        int element = IntrinsicMath.Min(4 * (task & (results.Chunks - 1)), layout.HeadDim - 4);
        return (task / results.Chunks * layout.HeadDim + element) * sizeof(float);
    }

    /// <summary>Four splits' values, so that their latencies are one; those beyond the last split are its.</summary>
    private static Four<Float4> Load(long from, long place, long stride, int part, int last) => new()
    {
        A = PtxIntrinsics.LoadFromOthers4(from + place + part * stride),
        B = PtxIntrinsics.LoadFromOthers4(from + place + IntrinsicMath.Min(part + 1, last) * stride),
        C = PtxIntrinsics.LoadFromOthers4(from + place + IntrinsicMath.Min(part + 2, last) * stride),
        D = PtxIntrinsics.LoadFromOthers4(from + place + IntrinsicMath.Min(part + 3, last) * stride),
    };

    private static float Largest(Float4 values) =>
        IntrinsicMath.Max(IntrinsicMath.Max(values.X, values.Y), IntrinsicMath.Max(values.Z, values.W));

    private static Float4 Weights(Float4 tops, float top) => new()
    {
        X = PtxIntrinsics.Exp2(tops.X - top),
        Y = PtxIntrinsics.Exp2(tops.Y - top),
        Z = PtxIntrinsics.Exp2(tops.Z - top),
        W = PtxIntrinsics.Exp2(tops.W - top),
    };

    private static float WarpMax(float value)
    {
        for (int mask = 16; mask > 0; mask /= 2)
            value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, mask));
        return value;
    }

    private static float WarpSum(float value)
    {
        for (int mask = 16; mask > 0; mask /= 2)
            value += Warp.ShuffleXor(value, mask);
        return value;
    }
}
