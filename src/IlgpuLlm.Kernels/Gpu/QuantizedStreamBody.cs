using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Whether the halves of a block belong to different groups: groups of 32 inputs.</summary>
internal interface IHalfGroups
{
    static abstract bool AreSeparate { get; }
}

internal readonly struct WholeBlockGroups : IHalfGroups
{
    public static bool AreSeparate => false;
}

internal readonly struct HalfBlockGroups : IHalfGroups
{
    public static bool AreSeparate => true;
}

/// <summary>
/// Products of rows of halves with a quantized weight that streams through once for 8 of them. A group makes two strips of 16 features of a tile of 8 rows; its
/// warps take blocks of 64 inputs by turns, widen them in registers and multiply them on tensor cores, whose column operand is the rows: sums are floats,
/// and a code costs the same for one row and for 8. Warps' sums are added in order: a row's result is the same for every number of rows. Weights are
/// requested two to four blocks ahead, the first two before the kernel waits for its input.
/// </summary>
internal static class QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where THalves : struct, IHalfGroups
    where TWarps : struct, IConstant
    where TOutput : struct, IQuantizedOutput
{
    private const int Features = QuantizedStreamKernel.Features;
    private const int TileSums = QuantizedStreamKernel.TileRows * Features;

    private static int Warps => TWarps.Value;

    internal static void Body(long codes, long groups, ArrayView<uint> x, QuantizedOutput output, QuantizedStream stream)
    {
        // Tiles of rows of the same features are neighbours in the grid, so that all but the first find their weights in the L2 cache.
        int numTiles = (output.NumRows + QuantizedStreamKernel.TileRows - 1) / QuantizedStreamKernel.TileRows;
        int part = Grid.IdxX / numTiles, firstRow = Grid.IdxX % numTiles * QuantizedStreamKernel.TileRows;
        var place = Place(codes, groups, part, stream);
        var requested = Request(place, stream);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        Multiply(place, requested, x, part, firstRow, output, stream);
    }

    /// <summary>What this lane reads of a part's weights.</summary>
    public static QuantizedLane Place(long codes, long groups, int part, QuantizedStream stream) =>
        QuantizedLane.Of(codes, groups, part * (Features / QuantizedLayout.StripRows), Group.IdxX & 31, TCodes.Bits, stream);

    /// <summary>Requests the lane's first blocks.</summary>
    public static Four<QuantizedChunk<TRaw>> Request(QuantizedLane place, QuantizedStream stream) => LoadFour(place, stream, Group.IdxX >> 5);

    /// <summary>Multiplies a part by a tile of rows, from <paramref name="firstRow"/> on, and stores the sums.</summary>
    public static void Multiply(
        QuantizedLane place, Four<QuantizedChunk<TRaw>> even, ArrayView<uint> x, int part, int firstRow, QuantizedOutput output, QuantizedStream stream)
    {
        var sums = SharedMemory.Allocate<float>(Warps * TileSums);
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5, block = warp;
        // Columns that are no rows repeat the last one; nothing is stored of them.
        int row = IntrinsicMath.Min(firstRow + (lane >> 2), output.NumRows - 1);
        long input = (long)row * stream.NumBlocks * (QuantizedLayout.BlockInputs / 2) + (lane & 3); // pairs of halves
        Two<Float4> sum = default;
        while (block < stream.NumBlocks)
        {
            // By turns, so that no register is copied: a copy would wait for what is under way.
            int next = block + 2 * Warps;
            var odd = LoadFour(place, stream, next);
            sum = MultiplyFour(even, x, input, block, stream, sum);
            block = next + 2 * Warps;
            even = LoadFour(place, stream, block);
            sum = MultiplyFour(odd, x, input, next, stream, sum);
        }

        int firstSum = warp * TileSums + (lane & 3) * (2 * Features) + (lane >> 2);
        Store(sums, firstSum, sum.A);
        Store(sums, firstSum + QuantizedLayout.StripRows, sum.B);
        Group.Barrier();
        int features = TOutput.IsGateUp ? Features / 2 : Features;
        int inTile = Group.IdxX / features, i = Group.IdxX % features;
        int inPart = TOutput.IsGateUp ? i / GpuWeight.GateUpBlock * (2 * GpuWeight.GateUpBlock) + i % GpuWeight.GateUpBlock : i, column = part * Features + inPart;
        if (inTile >= QuantizedStreamKernel.TileRows || firstRow + inTile >= output.NumRows || column >= output.NumColumns)
            return;
        int at = inTile * Features + inPart;
        float up = TOutput.IsGateUp ? Total(sums, at + GpuWeight.GateUpBlock) : 0f;
        TOutput.Store(output, firstRow + inTile, column, Total(sums, at), up);
    }

    private static void Store(ArrayView<float> sums, int at, Float4 sum)
    {
        sums[at] = sum.X;
        sums[at + Features] = sum.Y;
        sums[at + 8] = sum.Z;
        sums[at + Features + 8] = sum.W;
    }

    private static float Total(ArrayView<float> sums, int at)
    {
        float total = sums[at];
        for (int warp = 1; warp < Warps; warp++)
            total += sums[warp * TileSums + at];
        return total;
    }

    /// <summary>Two blocks of the first strip, and of the second.</summary>
    private static Four<QuantizedChunk<TRaw>> LoadFour(QuantizedLane place, QuantizedStream stream, int block)
    {
        var second = place.NextStrip(TCodes.Bits);
        return new()
        {
            A = place.Load<TCodes, TRaw, THalves>(stream, block),
            B = second.Load<TCodes, TRaw, THalves>(stream, block),
            C = place.Load<TCodes, TRaw, THalves>(stream, block + Warps),
            D = second.Load<TCodes, TRaw, THalves>(stream, block + Warps),
        };
    }

    private static Two<Float4> MultiplyFour(
        Four<QuantizedChunk<TRaw>> weights, ArrayView<uint> x, long input, int block, QuantizedStream stream, Two<Float4> sum)
    {
        QuantizedColumns first = Columns(x, input, block, stream), second = Columns(x, input, block + Warps, stream);
        sum.A = Multiply(weights.A, first, sum.A);
        sum.B = Multiply(weights.B, first, sum.B);
        return new() { A = Multiply(weights.C, second, sum.A), B = Multiply(weights.D, second, sum.B) };
    }

    /// <summary>A row's inputs for a block, those of the last one where there is no such block: its weights are zeros.</summary>
    private static QuantizedColumns Columns(ArrayView<uint> x, long input, int block, QuantizedStream stream)
    {
        long at = input + (long)IntrinsicMath.Min(block, stream.NumBlocks - 1) * (QuantizedLayout.BlockInputs / 2);
        return new()
        {
            Low = new() { X = x[at], Y = x[at + 4], Z = x[at + 8], W = x[at + 12] },
            High = new() { X = x[at + 16], Y = x[at + 20], Z = x[at + 24], W = x[at + 28] },
        };
    }

    private static Float4 Multiply(QuantizedChunk<TRaw> weights, QuantizedColumns x, Float4 sum)
    {
        var groups = QuantizedRowPair.Of(weights.Groups);
        Two<UInt4> lower = TCodes.WidenLower(weights.Codes, groups);
        Two<UInt4> upper = TCodes.WidenUpper(weights.Codes, THalves.AreSeparate ? QuantizedRowPair.Of(weights.UpperGroups) : groups);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(lower.A, new() { X = x.Low.X, Y = x.Low.Y }, sum);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(lower.B, new() { X = x.Low.Z, Y = x.Low.W }, sum);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(upper.A, new() { X = x.High.X, Y = x.High.Y }, sum);
        return PtxIntrinsics.MultiplyAdd16x8x16(upper.B, new() { X = x.High.Z, Y = x.High.W }, sum);
    }
}

/// <summary>The sizes of a weight that streams.</summary>
internal struct QuantizedStream
{
    /// <summary>Blocks of 64 inputs.</summary>
    public int NumBlocks;
    public int NumGroups;
    public int NumPanels;

    /// <summary>The inputs of a group are 2 to this; 30 where the whole row is one.</summary>
    public int GroupShift;
}

/// <summary>What a lane reads.</summary>
internal struct QuantizedLane
{
    public long Codes;
    public long Groups;

    /// <summary>Of a strip, counted from the first panel's first one.</summary>
    public static QuantizedLane Of(long codes, long groups, int strip, int lane, int bits, QuantizedStream stream) => new()
    {
        Codes = codes + (long)(strip / QuantizedLayout.Strips) * stream.NumBlocks * QuantizedLayout.BlockBytes(bits)
            + strip % QuantizedLayout.Strips * QuantizedLayout.StripBytes(bits) + lane * 16,
        Groups = groups + ((long)(strip / QuantizedLayout.Strips) * stream.NumGroups * QuantizedLayout.PanelRows
            + strip % QuantizedLayout.Strips * QuantizedLayout.StripRows + (lane >> 2) * 2) * sizeof(uint),
    };

    /// <summary>Of the next strip of the panel.</summary>
    public readonly QuantizedLane NextStrip(int bits) =>
        new() { Codes = Codes + QuantizedLayout.StripBytes(bits), Groups = Groups + QuantizedLayout.StripRows * sizeof(uint) };

    /// <summary>Loads what it holds of a block; a block behind the last one is that one with scales of zero, which spares predicates.</summary>
    public readonly QuantizedChunk<TRaw> Load<TCodes, TRaw, THalves>(QuantizedStream stream, int block)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where THalves : struct, IHalfGroups
    {
        int near = IntrinsicMath.Min(block, stream.NumBlocks - 1), input = near * QuantizedLayout.BlockInputs;
        bool isValid = block < stream.NumBlocks;
        return new()
        {
            Codes = TCodes.Load(Codes + (long)near * QuantizedLayout.BlockBytes(TCodes.Bits)),
            Groups = LoadGroup(input >> stream.GroupShift, isValid),
            UpperGroups = THalves.AreSeparate ? LoadGroup((input + QuantizedLayout.BlockInputs / 2) >> stream.GroupShift, isValid) : default,
        };
    }

    private readonly UInt2 LoadGroup(int group, bool isValid)
    {
        UInt2 words = PtxIntrinsics.LoadWeights8(Groups + (long)group * (QuantizedLayout.PanelRows * sizeof(uint)));
        return new() { X = isValid ? words.X : 0, Y = isValid ? words.Y : 0 };
    }
}

/// <summary>What a lane holds of a block.</summary>
internal struct QuantizedChunk<TRaw>
    where TRaw : unmanaged
{
    public TRaw Codes;

    /// <summary>The group words of its two rows.</summary>
    public UInt2 Groups;

    /// <summary>Those of the upper half of the inputs, if they are others.</summary>
    public UInt2 UpperGroups;
}

/// <summary>A lane's 16 inputs of a row: the column operands of four instructions.</summary>
internal struct QuantizedColumns
{
    public UInt4 Low, High;
}
