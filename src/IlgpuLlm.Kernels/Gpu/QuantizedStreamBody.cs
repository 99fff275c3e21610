using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of up to 8 rows of halves with a quantized weight that streams through once. A group makes a strip of 16 features; its 8 warps take its blocks
/// of 64 inputs by turns, widen them in registers and multiply them on tensor cores, whose column operand is the rows: sums are floats, and the cost of a
/// code does not depend on the number of rows. Warps' sums are added in order: a row's result is the same for every number of rows. Weights are requested
/// four to eight blocks ahead, the first four before the kernel waits for its input.
/// </summary>
internal static class QuantizedStreamBody<TCodes, TRaw, TOutput>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where TOutput : struct, IQuantizedOutput
{
    private const int Warps = QuantizedStreamKernel.Warps;
    private const int TileSums = QuantizedStreamKernel.MaxRows * QuantizedLayout.StripRows;

    internal static void Body(long codes, long groups, ArrayView<ushort> x, QuantizedOutput output, QuantizedStream stream)
    {
        var sums = SharedMemory.Allocate<float>(Warps * TileSums);
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5, strip = Grid.IdxX;
        var place = new QuantizedLane
        {
            Codes = codes + (long)strip * stream.NumBlocks * QuantizedLayout.BlockBytes(TCodes.Bits) + lane * 16,
            Groups = groups + ((long)strip * stream.NumGroups * QuantizedLayout.StripRows + (lane >> 2) * 2) * sizeof(uint),
            FirstInput = (lane & 3) * QuantizedLayout.LaneInputs,
        };
        int block = warp;
        var even = LoadFour(place, stream, block);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();

        // Columns that are no rows repeat the last one; nothing is stored of them.
        int row = IntrinsicMath.Min(lane >> 2, output.NumRows - 1);
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
        int outputRow = Group.IdxX / features, inStrip = Group.IdxX % features, column = strip * QuantizedLayout.StripRows + inStrip;
        if (outputRow >= output.NumRows || column >= output.NumColumns)
            return;
        int at = outputRow * QuantizedLayout.StripRows + inStrip;
        float up = TOutput.IsGateUp ? Total(sums, at + GpuLinearWeight.GateUpBlock) : 0f;
        TOutput.Store(output, outputRow, column, Total(sums, at), up);
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
        A = Load(place, stream, block),
        B = Load(place, stream, block + Warps),
        C = Load(place, stream, block + 2 * Warps),
        D = Load(place, stream, block + 3 * Warps),
    };

    /// <summary>Loads what a lane holds of a block; a block behind the last one is zeros, with scales of zero.</summary>
    private static QuantizedChunk<TRaw> Load(QuantizedLane place, QuantizedStream stream, int block)
    {
        int isValid = block < stream.NumBlocks ? 1 : 0;
        int group = (block * QuantizedLayout.BlockInputs + place.FirstInput) >> stream.GroupShift;
        return new()
        {
            Codes = TCodes.Load(place.Codes + (long)block * QuantizedLayout.BlockBytes(TCodes.Bits), isValid),
            Groups = PtxIntrinsics.LoadWeights8OrZero(place.Groups + (long)group * (QuantizedLayout.StripRows * sizeof(uint)), isValid),
        };
    }

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
