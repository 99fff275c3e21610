using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The warps of a group and its shared memory.</summary>
internal interface IMmaShape
{
    /// <summary>Warps side by side, 32 columns each; there are two rows of them.</summary>
    static abstract int WarpsN { get; }

    /// <summary>Stages of the pipeline: 3 or 4.</summary>
    static abstract int Stages { get; }
}

/// <summary>Two by two warps: 128 lanes.</summary>
internal readonly struct MmaShape2x2 : IMmaShape
{
    public static int WarpsN => 2;

    public static int Stages => 4;
}

/// <summary>Two by four warps: 256 lanes.</summary>
internal readonly struct MmaShape2x4 : IMmaShape
{
    public static int WarpsN => 4;

    public static int Stages => 3;
}

/// <summary>
/// output[m, n] = activations[m] . weight[n] + bias[n] on tensor cores: halves in, sums in floats. A group makes 2 x TTile.Rows rows and
/// 32 x WarpsN columns; 64 elements of k a stage come by cp.async while earlier stages are multiplied. Rows of 128 bytes are stored with their eight
/// 16-byte chunks permuted by the row, so that ldmatrix meets no bank twice. Each output is one chain over k in steps of 16, whatever the tile.
/// </summary>
internal static class MmaLinearBody<TShape, TTile, TOutput>
    where TShape : struct, IMmaShape
    where TTile : unmanaged, IMmaTile<TTile>
    where TOutput : struct, IMmaOutput
{
    private const int RowBytes = MmaLinearKernel.RowBytes;
    private const int LanesPerRow = RowBytes / 16;

    /// <summary>Rows that a group makes.</summary>
    public static int TileM => 2 * TTile.Rows;

    /// <summary>Columns that a group makes.</summary>
    public static int TileN => 32 * TShape.WarpsN;

    /// <summary>Lanes in a group.</summary>
    public static int GroupSize => 64 * TShape.WarpsN;

    /// <summary>Shared memory of a group.</summary>
    public static int SharedBytes => TShape.Stages * (TileM + TileN) * RowBytes;

    internal static void Body(long activations, long weight, MmaOutput output, int inFeatures)
    {
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint memory = PtxIntrinsics.SharedAddress(ref shared[0]);
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int warpM = (warp & 1) * TTile.Rows, warpN = (warp >> 1) * 32;
        int firstRow = Grid.IdxX * TileM, firstColumn = Grid.IdxY * TileN;
        uint stageBytes = (uint)((TileM + TileN) * RowBytes);

        // ldmatrix: this lane's row of a (16 rows, two chunks of k) and of b (16 columns of the product, two chunks of k).
        int aRow = warpM + (lane & 15), bRow = warpN + (lane & 7) + ((lane >> 4) << 3);
        uint a = memory + (uint)(aRow * RowBytes), b = memory + (uint)((TileM + bRow) * RowBytes);
        uint aChunk = (uint)(((lane >> 4) ^ (aRow & 7)) << 4), bChunk = (uint)((((lane >> 3) & 1) ^ (bRow & 7)) << 4);

        int numSteps = inFeatures / MmaLinearKernel.TileK;
        for (int s = 0; s < TShape.Stages - 1; s++)
            LoadStage(memory + (uint)s * stageBytes, activations, weight, output, firstRow, firstColumn, inFeatures, s, numSteps);
        TTile tile = default;
        uint read = 0, write = (uint)(TShape.Stages - 1) * stageBytes, end = (uint)TShape.Stages * stageBytes;
        for (int step = 0; step < numSteps; step++)
        {
            if (TShape.Stages == 3)
                PtxIntrinsics.WaitCopies1();
            else
                PtxIntrinsics.WaitCopies2();
            Group.Barrier(); // the stage is there for all, and all have done with the one that is written next
            LoadStage(memory + write, activations, weight, output, firstRow, firstColumn, inFeatures, step + TShape.Stages - 1, numSteps);
            for (uint k = 0; k < RowBytes; k += 32)
            {
                uint at = b + read + (bChunk ^ k);
                UInt4 b01 = TTile.Columns(PtxIntrinsics.LoadMatrices4(at)), b23 = TTile.Columns(PtxIntrinsics.LoadMatrices4(at + 16 * RowBytes));
                tile = TTile.Step(tile, a + read + (aChunk ^ k), b01, b23);
            }
            read = read + stageBytes == end ? 0 : read + stageBytes;
            write = write + stageBytes == end ? 0 : write + stageBytes;
        }
        TTile.Store<TOutput>(tile, output, firstRow + warpM + (lane >> 2), firstColumn + warpN + (lane & 3) * 2);
    }

    /// <summary>Starts the copies of a stage; beyond the last one an empty group, so that waiting counts the same. Rows outside repeat the last one.</summary>
    private static void LoadStage(
        uint stage, long activations, long weight, MmaOutput output, int firstRow, int firstColumn, int inFeatures, int step, int numSteps)
    {
        if (step < numSteps)
        {
            int chunk = Group.IdxX % LanesPerRow;
            long k = (long)step * MmaLinearKernel.TileK + chunk * 8;
            for (int row = Group.IdxX / LanesPerRow; row < TileM; row += GroupSize / LanesPerRow)
            {
                long source = (long)IntrinsicMath.Min(firstRow + row, output.NumRows - 1) * inFeatures + k;
                PtxIntrinsics.CopyAsync16(stage + (uint)(row * RowBytes + ((chunk ^ (row & 7)) << 4)), activations + source * 2);
            }
            for (int row = Group.IdxX / LanesPerRow; row < TileN; row += GroupSize / LanesPerRow)
            {
                long source = (long)IntrinsicMath.Min(firstColumn + row, output.NumColumns - 1) * inFeatures + k;
                PtxIntrinsics.CopyAsync16(stage + (uint)((TileM + row) * RowBytes + ((chunk ^ (row & 7)) << 4)), weight + source * 2);
            }
        }
        PtxIntrinsics.CommitCopies();
    }
}
