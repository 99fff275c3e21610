using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of rows of halves with a quantized weight that streams through once for 8 of them. A group makes a strip of 16 features of a tile of 8 rows; its 8 warps take its blocks
/// of 64 inputs by turns, widen them in registers and multiply them on tensor cores, whose column operand is the rows: sums are floats, and a
/// code costs the same for one row and for 8. Warps' sums are added in order: a row's result is the same for every number of rows. Weights are requested
/// four to eight blocks ahead, the first four before the kernel waits for its input.
/// </summary>
internal static class QuantizedStreamBody<TCodes, TRaw, TOutput>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where TOutput : struct, IQuantizedOutput
{
    private const int Warps = QuantizedStreamKernel.Warps;
    private const int TileSums = QuantizedStreamKernel.TileRows * QuantizedLayout.StripRows;

    internal static void Body(long codes, long groups, ArrayView<ushort> x, QuantizedOutput output, QuantizedStream stream)
    {
        var sums = SharedMemory.Allocate<float>(Warps * TileSums);
        // Tiles of rows of one strip are neighbours in the grid, so that all but the first find its weights in the L2 cache.
        int numTiles = (output.NumRows + QuantizedStreamKernel.TileRows - 1) / QuantizedStreamKernel.TileRows;
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5, strip = Grid.IdxX / numTiles, firstRow = Grid.IdxX % numTiles * QuantizedStreamKernel.TileRows;
        var place = QuantizedLane.Of(codes, groups, strip, lane, TCodes.Bits, stream);
        int block = warp;
        var even = LoadFour(place, stream, block);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();

        // Columns that are no rows repeat the last one; nothing is stored of them.
        int row = IntrinsicMath.Min(firstRow + (lane >> 2), output.NumRows - 1);
        long input = (long)row * stream.NumBlocks * QuantizedLayout.BlockInputs + place.FirstInput;
        Float4 sum = default;
        while (block < stream.NumBlocks)
        {
            // By turns, so that no register is copied: a copy would wait for what is under way.
            int next = block + 4 * Warps;
            var odd = LoadFour(place, stream, next);
            sum = MultiplyFour(even, x, input, block, stream, sum);
            block = next + 4 * Warps;
            even = LoadFour(place, stream, block);
            sum = MultiplyFour(odd, x, input, next, stream, sum);
        }

        int feature = lane >> 2, firstSum = warp * TileSums + (lane & 3) * (2 * QuantizedLayout.StripRows) + feature;
        sums[firstSum] = sum.X;
        sums[firstSum + QuantizedLayout.StripRows] = sum.Y;
        sums[firstSum + 8] = sum.Z;
        sums[firstSum + QuantizedLayout.StripRows + 8] = sum.W;
        Group.Barrier();
        int features = TOutput.IsGateUp ? QuantizedLayout.StripRows / 2 : QuantizedLayout.StripRows;
        int inTile = Group.IdxX / features, inStrip = Group.IdxX % features, column = strip * QuantizedLayout.StripRows + inStrip;
        if (inTile >= QuantizedStreamKernel.TileRows || firstRow + inTile >= output.NumRows || column >= output.NumColumns)
            return;
        int at = inTile * QuantizedLayout.StripRows + inStrip;
        float up = TOutput.IsGateUp ? Total(sums, at + GpuWeight.GateUpBlock) : 0f;
        TOutput.Store(output, firstRow + inTile, column, Total(sums, at), up);
    }

    private static float Total(ArrayView<float> sums, int at)
    {
        float total = sums[at];
        for (int warp = 1; warp < Warps; warp++)
            total += sums[warp * TileSums + at];
        return total;
    }

    private static Four<QuantizedChunk<TRaw>> LoadFour(QuantizedLane place, QuantizedStream stream, int block) => new()
    {
        A = place.Load<TCodes, TRaw>(stream, block),
        B = place.Load<TCodes, TRaw>(stream, block + Warps),
        C = place.Load<TCodes, TRaw>(stream, block + 2 * Warps),
        D = place.Load<TCodes, TRaw>(stream, block + 3 * Warps),
    };

    private static Float4 MultiplyFour(
        Four<QuantizedChunk<TRaw>> weights, ArrayView<ushort> x, long input, int block, QuantizedStream stream, Float4 sum)
    {
        QuantizedColumns a = Columns(x, input, block, stream), b = Columns(x, input, block + Warps, stream);
        QuantizedColumns c = Columns(x, input, block + 2 * Warps, stream), d = Columns(x, input, block + 3 * Warps, stream);
        sum = Multiply(weights.A, a, sum);
        sum = Multiply(weights.B, b, sum);
        sum = Multiply(weights.C, c, sum);
        return Multiply(weights.D, d, sum);
    }

    /// <summary>A row's inputs for a block, those of the last one where there is no such block: its weights are zeros.</summary>
    private static QuantizedColumns Columns(ArrayView<ushort> x, long input, int block, QuantizedStream stream)
    {
        long at = input + (long)IntrinsicMath.Min(block, stream.NumBlocks - 1) * QuantizedLayout.BlockInputs;
        return new() { Low = F16Vector.Load(x, at), High = F16Vector.Load(x, at + 8) };
    }

    private static Float4 Multiply(QuantizedChunk<TRaw> weights, QuantizedColumns x, Float4 sum)
    {
        Four<UInt4> rows = TCodes.Widen(weights.Codes, weights.Groups);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(rows.A, new() { X = x.Low.X, Y = x.Low.Y }, sum);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(rows.B, new() { X = x.Low.Z, Y = x.Low.W }, sum);
        sum = PtxIntrinsics.MultiplyAdd16x8x16(rows.C, new() { X = x.High.X, Y = x.High.Y }, sum);
        return PtxIntrinsics.MultiplyAdd16x8x16(rows.D, new() { X = x.High.Z, Y = x.High.W }, sum);
    }
}

/// <summary>The sizes of a weight that streams.</summary>
internal struct QuantizedStream
{
    /// <summary>Blocks of 64 inputs.</summary>
    public int NumBlocks;
    public int NumGroups;

    /// <summary>The inputs of a group are 2 to this; 30 where the whole row is one.</summary>
    public int GroupShift;
}

/// <summary>What a lane reads.</summary>
internal struct QuantizedLane
{
    public long Codes;
    public long Groups;

    /// <summary>The first of its inputs in a block.</summary>
    public int FirstInput;

    /// <summary>Of a strip.</summary>
    public static QuantizedLane Of(long codes, long groups, int strip, int lane, int bits, QuantizedStream stream) => new()
    {
        Codes = codes + (long)strip * stream.NumBlocks * QuantizedLayout.BlockBytes(bits) + lane * 16,
        Groups = groups + ((long)strip * stream.NumGroups * QuantizedLayout.StripRows + (lane >> 2) * 2) * sizeof(uint),
        FirstInput = (lane & 3) * QuantizedLayout.LaneInputs,
    };

    /// <summary>Loads what it holds of a block; a block behind the last one is zeros, with scales of zero.</summary>
    public readonly QuantizedChunk<TRaw> Load<TCodes, TRaw>(QuantizedStream stream, int block)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
    {
        int isValid = block < stream.NumBlocks ? 1 : 0;
        int group = (block * QuantizedLayout.BlockInputs + FirstInput) >> stream.GroupShift;
        return new()
        {
            Codes = TCodes.Load(Codes + (long)block * QuantizedLayout.BlockBytes(TCodes.Bits), isValid),
            Groups = PtxIntrinsics.LoadWeights8OrZero(Groups + (long)group * (QuantizedLayout.StripRows * sizeof(uint)), isValid),
        };
    }
}

/// <summary>What a lane holds of a block.</summary>
internal struct QuantizedChunk<TRaw>
    where TRaw : unmanaged
{
    public TRaw Codes;

    /// <summary>The group words of its two rows.</summary>
    public UInt2 Groups;
}

/// <summary>16 inputs of a row: the column operands of four instructions.</summary>
internal struct QuantizedColumns
{
    public UInt4 Low, High;
}
