using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Where a tensor-core product goes.</summary>
internal struct MmaOutput
{
    /// <summary>The output as floats, if that is what it holds.</summary>
    public ArrayView<float> Floats;

    /// <summary>The output as pairs of halves, if that is what it holds.</summary>
    public ArrayView<uint> Pairs;
    public ArrayView<float> Bias;
    public int HasBias;
    public int NumRows;

    /// <summary>Rows of the weight.</summary>
    public int NumColumns;

    /// <summary>The bias of a column.</summary>
    public readonly float BiasOf(int column) => HasBias != 0 ? Bias[column] : 0f;
}

/// <summary>What a tensor-core product does with its sums.</summary>
internal interface IMmaOutput
{
    /// <summary>
    /// Takes what a lane has of 16 rows and 32 columns: four tiles of 8 columns, of each (row, column), (row, column + 1), (row + 8, column) and
    /// (row + 8, column + 1). What lies outside is dropped.
    /// </summary>
    static abstract void Store(MmaOutput output, int row, int column, Four<Float4> sums);
}

/// <summary>Stores floats, or adds to them; any number of columns.</summary>
internal readonly struct MmaFloats<TUpdate> : IMmaOutput
    where TUpdate : struct, IMmaUpdate
{
    public static void Store(MmaOutput output, int row, int column, Four<Float4> sums)
    {
        StoreTile(output, row, column, sums.A);
        StoreTile(output, row, column + 8, sums.B);
        StoreTile(output, row, column + 16, sums.C);
        StoreTile(output, row, column + 24, sums.D);
    }

    private static void StoreTile(MmaOutput output, int row, int column, Float4 sums)
    {
        StoreOne(output, row, column, sums.X);
        StoreOne(output, row, column + 1, sums.Y);
        StoreOne(output, row + 8, column, sums.Z);
        StoreOne(output, row + 8, column + 1, sums.W);
    }

    private static void StoreOne(MmaOutput output, int row, int column, float sum)
    {
        if (row >= output.NumRows || column >= output.NumColumns)
            return;
        long at = (long)row * output.NumColumns + column;
        sum += output.BiasOf(column);
        output.Floats[at] = TUpdate.Adds ? output.Floats[at] + sum : sum;
    }
}

/// <summary>What becomes of the floats that were there.</summary>
internal interface IMmaUpdate
{
    static abstract bool Adds { get; }
}

internal readonly struct MmaOverwrites : IMmaUpdate
{
    public static bool Adds => false;
}

internal readonly struct MmaAdds : IMmaUpdate
{
    public static bool Adds => true;
}

/// <summary>Stores halves; an even number of columns.</summary>
internal readonly struct MmaStoreHalves : IMmaOutput
{
    public static void Store(MmaOutput output, int row, int column, Four<Float4> sums)
    {
        StoreTile(output, row, column, sums.A);
        StoreTile(output, row, column + 8, sums.B);
        StoreTile(output, row, column + 16, sums.C);
        StoreTile(output, row, column + 24, sums.D);
    }

    private static void StoreTile(MmaOutput output, int row, int column, Float4 sums)
    {
        if (column >= output.NumColumns)
            return;
        float first = output.BiasOf(column), second = output.BiasOf(column + 1);
        StorePair(output, row, column, sums.X + first, sums.Y + second);
        StorePair(output, row + 8, column, sums.Z + first, sums.W + second);
    }

    private static void StorePair(MmaOutput output, int row, int column, float first, float second)
    {
        if (row < output.NumRows)
            output.Pairs[((long)row * output.NumColumns + column) / 2] = PtxIntrinsics.PackHalves(first, second);
    }
}

/// <summary>Stores silu(gate) * up as halves; gate and up lie in blocks of 8 columns by turns.</summary>
internal readonly struct MmaStoreSiluMul : IMmaOutput
{
    public static void Store(MmaOutput output, int row, int column, Four<Float4> sums)
    {
        StoreTiles(output, row, column, sums.A, sums.B);
        StoreTiles(output, row, column + 16, sums.C, sums.D);
    }

    private static void StoreTiles(MmaOutput output, int row, int column, Float4 gate, Float4 up)
    {
        if (column >= output.NumColumns)
            return;
        int target = column / 16 * 8 + column % 8;
        float gate0 = output.BiasOf(column), gate1 = output.BiasOf(column + 1), up0 = output.BiasOf(column + 8), up1 = output.BiasOf(column + 9);
        StorePair(output, row, target, SiluMul(gate.X + gate0, up.X + up0), SiluMul(gate.Y + gate1, up.Y + up1));
        StorePair(output, row + 8, target, SiluMul(gate.Z + gate0, up.Z + up0), SiluMul(gate.W + gate1, up.W + up1));
    }

    private static float SiluMul(float gate, float up) => DeviceMath.Silu(gate) * up;

    private static void StorePair(MmaOutput output, int row, int column, float first, float second)
    {
        if (row < output.NumRows)
            output.Pairs[((long)row * (output.NumColumns / 2) + column) / 2] = PtxIntrinsics.PackHalves(first, second);
    }
}
