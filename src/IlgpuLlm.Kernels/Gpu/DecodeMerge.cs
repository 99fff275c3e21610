using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the four warps of a decode group leave in shared memory, a row a warp and query head.</summary>
internal struct DecodeResults
{
    /// <summary>[4, MaxHeads, Pitch]: the weighted values. Overwritten.</summary>
    public ArrayView<float> Sums;

    /// <summary>[4, MaxHeads]: the largest score. Overwritten.</summary>
    public ArrayView<float> Maxima;

    /// <summary>[4, MaxHeads]: the sum of the weights.</summary>
    public ArrayView<float> WeightSums;
    public int MaxHeads;

    /// <summary>Floats of a row of sums.</summary>
    public int Pitch;
}

/// <summary>
/// How the decode kernels that share a sequence among groups end: the warps' results are added in order; where a sequence has several splits, the last
/// group to come adds those in order of position.
/// </summary>
internal static class DecodeMerge<TElement, T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    private const int Warps = 4;
    private const int SplitLimit = 32; // a lane a split

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
        int kvHead = Grid.IdxX, sequence = Grid.IdxY, split = Grid.IdxZ, maxHeads = results.MaxHeads;
        int heads = layout.NumHeads / layout.NumKvHeads, lane = Group.IdxX & 31;
        var (sums, maxima, weightSums) = (results.Sums, results.Maxima, results.WeightSums);
        int numElements = heads * layout.HeadDim;
        long output = ((long)sequence * layout.NumHeads + kvHead * heads) * layout.HeadDim;
        int counter = sequence * layout.NumKvHeads + kvHead;
        long partialSize = heads * (layout.HeadDim + 2);
        long partials = (long)counter * arguments.MaxSplits * partialSize;
        long partial = partials + split * partialSize;
        for (int i = Group.IdxX; i < numElements; i += Group.DimX)
        {
            int row = i / layout.HeadDim, element = i - row * layout.HeadDim;
            float a = maxima[row], b = maxima[maxHeads + row], c = maxima[2 * maxHeads + row], d = maxima[3 * maxHeads + row];
            float top = IntrinsicMath.Max(IntrinsicMath.Max(a, b), IntrinsicMath.Max(c, d));
            a = PtxIntrinsics.Exp2(a - top);
            b = PtxIntrinsics.Exp2(b - top);
            c = PtxIntrinsics.Exp2(c - top);
            d = PtxIntrinsics.Exp2(d - top);
            int from = row * results.Pitch + element, stride = maxHeads * results.Pitch;
            float value = sums[from] * a + sums[from + stride] * b + sums[from + 2 * stride] * c + sums[from + 3 * stride] * d;
            float total = weightSums[row] * a + weightSums[maxHeads + row] * b + weightSums[2 * maxHeads + row] * c + weightSums[3 * maxHeads + row] * d;
            if (numSplits == 1)
            {
                arguments.Output[output + i] = TElement.Narrow(value / total);
                continue;
            }
            arguments.Partials[partial + i] = value;
            if (element == 0)
            {
                arguments.Partials[partial + numElements + 2 * row] = top;
                arguments.Partials[partial + numElements + 2 * row + 1] = total;
            }
        }
        if (numSplits == 1)
            return;

        // The group that comes last adds up the splits.
        MemoryFence.DeviceLevel();
        Group.Barrier(); // also: nobody reads the warps' sums any more
        if (Group.IdxX == 0)
            maxima[0] = Atomic.Add(ref arguments.Counters[counter], 1) == numSplits - 1 ? 1f : 0f;
        Group.Barrier();
        if (maxima[0] == 0f)
            return;
        MemoryFence.DeviceLevel();
        if (Group.IdxX == 0)
            arguments.Counters[counter] = 0; // for the next launch
        for (int row = Group.IdxX >> 5; row < heads; row += Warps)
        {
            // A lane a split. Absent ones count nothing.
            long place = arguments.PartialsAddress + (partials + lane * partialSize + numElements + 2 * row) * sizeof(float);
            float top = float.NegativeInfinity, total = 0f;
            if (lane < numSplits)
            {
                top = PtxIntrinsics.LoadFromOthers(place);
                total = PtxIntrinsics.LoadFromOthers(place + sizeof(float));
            }
            float weight = PtxIntrinsics.Exp2(top - WarpMax(top));
            sums[row * SplitLimit + lane] = weight / WarpSum(weight * total);
        }
        Group.Barrier();
        for (int i = Group.IdxX; i < numElements; i += Group.DimX)
        {
            int row = i / layout.HeadDim;
            long place = arguments.PartialsAddress + (partials + i) * sizeof(float);
            float value = 0f;
            for (int part = 0; part < numSplits; part += 4)
            {
                // Four at a time, so that their latencies are one. Beyond the last one weights are 0.
                long stride = partialSize * sizeof(float);
                int last = numSplits - 1;
                float a = PtxIntrinsics.LoadFromOthers(place + part * stride);
                float b = PtxIntrinsics.LoadFromOthers(place + IntrinsicMath.Min(part + 1, last) * stride);
                float c = PtxIntrinsics.LoadFromOthers(place + IntrinsicMath.Min(part + 2, last) * stride);
                float d = PtxIntrinsics.LoadFromOthers(place + IntrinsicMath.Min(part + 3, last) * stride);
                int w = row * SplitLimit + part;
                value += a * sums[w];
                value += b * sums[w + 1];
                value += c * sums[w + 2];
                value += d * sums[w + 3];
            }
            arguments.Output[output + i] = TElement.Narrow(value);
        }
    }

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
