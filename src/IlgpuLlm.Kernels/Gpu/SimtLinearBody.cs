using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The warps of a group and its shared memory.</summary>
internal interface ISimtShape
{
    /// <summary>Warps one below the other.</summary>
    static abstract int WarpsM { get; }

    /// <summary>Warps side by side, <see cref="SimtLanes.WarpColumns"/> columns each.</summary>
    static abstract int WarpsN { get; }

    /// <summary>Warps that share out k: 1, or 16, one for each chunk of a stage.</summary>
    static abstract int WarpsK { get; }

    /// <summary>16-byte chunks of k in a stage; a power of two, as the numbers of warps are.</summary>
    static abstract int Chunks { get; }

    /// <summary>Stages of the pipeline: 3, 4 or 6.</summary>
    static abstract int Stages { get; }
}

/// <summary>Two by four warps: with 8 rows a lane 128 x 128.</summary>
internal readonly struct SimtWide : ISimtShape
{
    public static int WarpsM => 2;

    public static int WarpsN => 4;

    public static int WarpsK => 1;

    public static int Chunks => 4;

    public static int Stages => 4;
}

/// <summary>16 warps that share out k, for up to 64 rows.</summary>
internal readonly struct SimtDeep3 : ISimtShape
{
    public static int WarpsM => 1;

    public static int WarpsN => 1;

    public static int WarpsK => 16;

    public static int Chunks => 16;

    public static int Stages => 3;
}

/// <summary>The same with less for a stage and more of them.</summary>
internal readonly struct SimtDeep4 : ISimtShape
{
    public static int WarpsM => 1;

    public static int WarpsN => 1;

    public static int WarpsK => 16;

    public static int Chunks => 16;

    public static int Stages => 4;
}

/// <summary>The same for a few rows, where the weights' way from memory is all.</summary>
internal readonly struct SimtDeep6 : ISimtShape
{
    public static int WarpsM => 1;

    public static int WarpsN => 1;

    public static int WarpsK => 16;

    public static int Chunks => 16;

    public static int Stages => 6;
}

/// <summary>
/// output[m, n] = activations[m] . weight[n] + bias[n] in IEEE single precision. A stage's part of k comes by cp.async, weights of the first stages before
/// the kernel waits for its activations. A lane reads four elements of k of each of its rows and columns with 16-byte loads; rows lie an odd number of
/// chunks apart, so that these meet no bank twice. Where warps share out k, warp w adds chunks w, w + WarpsK, ... and the sums are added in an order that
/// depends on nothing: the same one in groups of any number of rows.
/// </summary>
internal static class SimtLinearBody<TShape, TTile, TOutput>
    where TShape : struct, ISimtShape
    where TTile : unmanaged, ISimtTile<TTile>
    where TOutput : struct, ISimtOutput
{
    // Floats between rows of sums in shared memory: lanes of four rows and eight columns write to different banks.
    private const int SumPitch = SimtLanes.WarpColumns + 4;

    /// <summary>Rows that a group makes.</summary>
    public static int TileM => TShape.WarpsM * WarpRows;

    /// <summary>Columns that a group makes.</summary>
    public static int TileN => TShape.WarpsN * SimtLanes.WarpColumns;

    /// <summary>Lanes in a group.</summary>
    public static int GroupSize => 32 * TShape.WarpsM * TShape.WarpsN * TShape.WarpsK;

    /// <summary>Shared memory of a group: the stages, then the sums of half of the warps.</summary>
    public static int SharedBytes => Math.Max(TShape.Stages * (int)StageBytes, TShape.WarpsK / 2 * SumsLength * sizeof(float));

    private static int WarpRows => SimtLanes.Rows * TTile.Rows;

    private static uint Pitch => (uint)(TShape.Chunks + 1) * 16;

    private static uint StageBytes => (uint)(TileM + TileN) * Pitch;

    private static int SumsLength => TileM * SumPitch;

    internal static void Body(long activations, long weight, SimtOutput output, int inFeatures)
    {
        PtxIntrinsics.LaunchDependents();
        var shared = SharedMemory.GetDynamic<Float4>();
        uint memory = PtxIntrinsics.SharedAddress(ref shared[0]);
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int warpK = TShape.WarpsK == 1 ? 0 : warp;
        int warpM = TShape.WarpsK == 1 ? warp & (TShape.WarpsM - 1) : 0, warpN = TShape.WarpsK == 1 ? warp / TShape.WarpsM : 0;
        int row = warpM * WarpRows + SimtLanes.Row(lane), column = warpN * SimtLanes.WarpColumns + SimtLanes.Column(lane);
        int firstRow = Grid.IdxX * TileM, firstColumn = Grid.IdxY * TileN;
        uint a = memory + (uint)row * Pitch, b = memory + (uint)(TileM + column) * Pitch;

        int numSteps = (inFeatures + TShape.Chunks * 4 - 1) / (TShape.Chunks * 4);
        for (int s = 0; s < TShape.Stages - 1; s++)
            Load(memory + (uint)s * StageBytes + (uint)TileM * Pitch, weight, firstColumn, TileN, output.NumColumns, inFeatures, s);
        PtxIntrinsics.WaitForDependencies();
        for (int s = 0; s < TShape.Stages - 1; s++)
        {
            Load(memory + (uint)s * StageBytes, activations, firstRow, TileM, output.NumRows, inFeatures, s);
            PtxIntrinsics.CommitCopies();
        }
        TTile tile = default;
        uint read = 0, write = (uint)(TShape.Stages - 1) * StageBytes, end = (uint)TShape.Stages * StageBytes;
        for (int step = 0; step < numSteps; step++)
        {
            if (TShape.Stages == 3)
                PtxIntrinsics.WaitCopies1();
            else if (TShape.Stages == 4)
                PtxIntrinsics.WaitCopies2();
            else
                PtxIntrinsics.WaitCopies4();
            Group.Barrier(); // the stage is there for all, and all have done with the one that is written next
            Load(memory + write, activations, firstRow, TileM, output.NumRows, inFeatures, step + TShape.Stages - 1);
            Load(memory + write + (uint)TileM * Pitch, weight, firstColumn, TileN, output.NumColumns, inFeatures, step + TShape.Stages - 1);
            PtxIntrinsics.CommitCopies();
            if (TShape.WarpsK == 1)
            {
                for (uint chunk = 0; chunk < (uint)TShape.Chunks * 16; chunk += 16)
                    tile = Step(tile, a + read + chunk, b + read + chunk);
            }
            else
            {
                tile = Step(tile, a + read + (uint)warp * 16, b + read + (uint)warp * 16);
            }
            read = read + StageBytes == end ? 0 : read + StageBytes;
            write = write + StageBytes == end ? 0 : write + StageBytes;
        }
        if (TShape.WarpsK == 1)
        {
            TTile.Store<TOutput>(tile, output, firstRow + row, firstColumn + column, output.BiasesOf(firstColumn + column));
            return;
        }

        // The upper half of the warps' sums to the lower half's; then eight sums, in order, for each output.
        var sums = shared.Cast<float>();
        int half = (TShape.WarpsK + 1) / 2;
        int at = (warpK & (half - 1)) * SumsLength + row * SumPitch + column;
        PtxIntrinsics.WaitAllCopies(); // those of stages behind the last one
        Group.Barrier();
        if (warpK >= half)
            TTile.Put(tile, sums, at, SumPitch);
        Group.Barrier();
        if (warpK < half)
            TTile.AddTo(tile, sums, at, SumPitch);
        Group.Barrier();
        int outputsPerRow = SimtLanes.WarpColumns / TOutput.ColumnsPerOutput;
        for (int i = Group.IdxX; i < TileM * outputsPerRow; i += GroupSize)
        {
            int sumRow = i / outputsPerRow, sumColumn = i & (outputsPerRow - 1);
            if (TOutput.ColumnsPerOutput == 2)
                sumColumn += sumColumn / GpuWeight.GateUpBlock * GpuWeight.GateUpBlock;
            if (firstRow + sumRow >= output.NumRows || firstColumn + sumColumn >= output.NumColumns)
                continue;
            int from = sumRow * SumPitch + sumColumn;
            float sum = Sum(sums, from) + output.BiasOf(firstColumn + sumColumn), up = 0f;
            if (TOutput.ColumnsPerOutput == 2)
                up = Sum(sums, from + GpuWeight.GateUpBlock) + output.BiasOf(firstColumn + sumColumn + GpuWeight.GateUpBlock);
            TOutput.StoreOne(output, firstRow + sumRow, firstColumn + sumColumn, sum, up);
        }
    }

    private static TTile Step(TTile tile, uint row, uint column) =>
        TTile.Step(tile, row, SimtLanes.Rows * Pitch, SimtColumns.Load(column, SimtLanes.Columns * Pitch));

    /// <summary>The sum of eight warps' sums.</summary>
    private static float Sum(ArrayView<float> sums, int at)
    {
        float a = sums[at], b = sums[at + SumsLength], c = sums[at + 2 * SumsLength], d = sums[at + 3 * SumsLength];
        float e = sums[at + 4 * SumsLength], f = sums[at + 5 * SumsLength], g = sums[at + 6 * SumsLength], h = sums[at + 7 * SumsLength];
        return a + b + (c + d) + (e + f + (g + h));
    }

    /// <summary>Starts the copies of a stage's part of some rows. What lies outside becomes zeros: they change no sum.</summary>
    private static void Load(uint target, long source, int firstRow, int count, int numRows, int inFeatures, int step)
    {
        int chunk = Group.IdxX & (TShape.Chunks - 1), row = Group.IdxX / TShape.Chunks;
        int k = (step * TShape.Chunks + chunk) * 4;
        bool isInside = k < inFeatures;
        int rowsPerPass = GroupSize / TShape.Chunks;
        long from = source + ((long)(firstRow + row) * inFeatures + k) * sizeof(float), stride = (long)rowsPerPass * inFeatures * sizeof(float);
        uint to = target + (uint)row * Pitch + (uint)chunk * 16;
        for (int pass = 0; pass < (count + rowsPerPass - 1) / rowsPerPass; pass++)
        {
            if (count % rowsPerPass == 0 || row < count)
                PtxIntrinsics.CopyAsync16OrZero(to, from, isInside && firstRow + row < numRows ? 16 : 0);
            row += rowsPerPass;
            from += stride;
            to += (uint)rowsPerPass * Pitch;
        }
    }
}
