using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// The merge of <see cref="DecodeMerge{TElement, T}"/> where the splits of a sequence and head are the groups of a cluster: each sends its results to the
/// first one's shared memory, which adds them up. In place of four trips to the second-level cache, one behind the other, one to a neighbour. A sequence of
/// more splits than a cluster has groups is merged as before, by the same kernel.
/// </summary>
internal static class DecodeCluster<TElement, T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    /// <summary>Groups of a cluster: as many as every Hopper can have.</summary>
    public const int Size = 8;

    private const int Header = 16; // the barrier, and what aligns the rest

    /// <summary>
    /// The dynamic shared memory that it takes: a barrier; then of each split but the first [heads, headDim] values; then of each [heads] pairs of largest score
    /// and sum of weights.
    /// </summary>
    public static int SharedBytes(int heads, int headDim) => Header + (Size - 1) * SplitBytes(heads, headDim);

    /// <summary>
    /// Makes the first group ready to receive; early, as <see cref="Finish"/> waits for it. All lanes of groups that have a split come here, 2 to
    /// <see cref="Size"/> of them; the others of the cluster may have ended.
    /// </summary>
    public static void Begin(uint memory, int heads, int headDim, int numSplits)
    {
        if (Grid.IdxZ == 0 && Group.IdxX == 0)
        {
            PtxIntrinsics.InitBarrier(memory, 1);
            PtxIntrinsics.ExpectBytes(memory, (numSplits - 1) * SplitBytes(heads, headDim));
            PtxIntrinsics.FenceBarriers();
        }
        PtxIntrinsics.ArriveCluster();
    }

    /// <summary>Sends the group's results, or, in the first group, waits for the others' and writes the output. All lanes come here, after a barrier.</summary>
    public static void Finish(DecodeArguments<T> arguments, HeadLayout layout, DecodeResults results, uint memory, int numSplits)
    {
        int split = Grid.IdxZ, heads = layout.HeadsOfGroup, headBytes = layout.HeadDim * sizeof(float);
        int numTasks = heads * results.Chunks;
        uint values = memory + Header, pairs = values + (uint)((Size - 1) * heads * headBytes);
        int output = PtxIntrinsics.Here((int)DecodeMerge<TElement, T>.FirstOutput(layout)); // of few sequences
        PtxIntrinsics.WaitCluster(); // the first group is ready; it has long been
        for (int i = Group.IdxX; i < numTasks; i += Group.DimX)
        {
            int row = i / results.Chunks, element = 4 * (i & (results.Chunks - 1));
            if (element >= layout.HeadDim)
                continue;
            DecodePartial own = DecodeMerge<TElement, T>.AddWarps(results, row, element / 4);
            if (split > 0)
            {
                int sender = (split - 1) * heads + row;
                PtxIntrinsics.SendShared4(values + (uint)(sender * headBytes + element * sizeof(float)), own.Values, memory, 0);
                if (element == 0)
                    PtxIntrinsics.SendShared2(pairs + (uint)(sender * 2 * sizeof(float)), new() { X = own.Top, Y = own.Total }, memory, 0);
                continue;
            }
            PtxIntrinsics.WaitBarrierOfCluster(memory, 0);
            uint place = values + (uint)(row * headBytes + element * sizeof(float)), pair = pairs + (uint)(row * 2 * sizeof(float));
            uint stride = (uint)(heads * headBytes), pairStride = (uint)(heads * 2 * sizeof(float));
            int last = numSplits - 2; // of those that were received
            // Beyond the last split its values come again, at weight 0, so that nothing waits for a comparison.
            Float2 b = LoadPair(pair, pairStride, 0, last), c = LoadPair(pair, pairStride, 1, last), d = LoadPair(pair, pairStride, 2, last);
            Four<Float4> low = new()
            {
                A = own.Values,
                B = Load(place, stride, 0, last),
                C = Load(place, stride, 1, last),
                D = Load(place, stride, 2, last),
            };
            Float8 tops = new() { Low = new() { X = own.Top, Y = b.X, Z = c.X, W = d.X }, High = Absent() };
            Float8 totals = new() { Low = new() { X = own.Total, Y = b.Y, Z = c.Y, W = d.Y } };
            Four<Float4> high = default;
            if (numSplits > 4)
            {
                Float2 e = LoadPair(pair, pairStride, 3, last), f = LoadPair(pair, pairStride, 4, last);
                Float2 g = LoadPair(pair, pairStride, 5, last), h = LoadPair(pair, pairStride, 6, last);
                high = new()
                {
                    A = Load(place, stride, 3, last),
                    B = Load(place, stride, 4, last),
                    C = Load(place, stride, 5, last),
                    D = Load(place, stride, 6, last),
                };
                tops.High = new() { X = e.X, Y = f.X, Z = g.X, W = h.X };
                totals.High = new() { X = e.Y, Y = f.Y, Z = g.Y, W = h.Y };
            }
            DecodeWeights weights = DecodeMerge<TElement, T>.Weigh(tops, totals);
            Float4 sum = Add(Add(default, low, weights.Low), high, weights.High);
            TElement.Store4(arguments.Output, output + row * layout.HeadDim + element, DecodeMerge<TElement, T>.Scale(sum, weights.Inverse));
        }
    }

    private static int SplitBytes(int heads, int headDim) => heads * (headDim + 2) * sizeof(float);

    private static Float4 Load(uint place, uint stride, int index, int last) => PtxIntrinsics.LoadShared4(place + (uint)IntrinsicMath.Min(index, last) * stride);

    private static Float2 LoadPair(uint place, uint stride, int index, int last)
    {
        Float2 pair = PtxIntrinsics.LoadShared2(place + (uint)IntrinsicMath.Min(index, last) * stride);
        return new() { X = index <= last ? pair.X : float.NegativeInfinity, Y = pair.Y };
    }

    private static Float4 Absent() =>
        new() { X = float.NegativeInfinity, Y = float.NegativeInfinity, Z = float.NegativeInfinity, W = float.NegativeInfinity };

    private static Float4 Add(Float4 sum, Four<Float4> values, Float4 weights)
    {
        sum = DecodeMerge<TElement, T>.Add(sum, values.A, weights.X);
        sum = DecodeMerge<TElement, T>.Add(sum, values.B, weights.Y);
        sum = DecodeMerge<TElement, T>.Add(sum, values.C, weights.Z);
        return DecodeMerge<TElement, T>.Add(sum, values.D, weights.W);
    }
}
