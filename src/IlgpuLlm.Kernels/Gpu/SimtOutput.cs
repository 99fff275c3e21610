using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Where a product of floats goes.</summary>
internal struct SimtOutput
{
    public ArrayView<float> Values;
    public ArrayView<float> Bias;
    public int HasBias;
    public int NumRows;

    /// <summary>Rows of the weight.</summary>
    public int NumColumns;

    /// <summary>The bias of a column.</summary>
    public readonly float BiasOf(int column) => HasBias != 0 ? Bias[column] : 0f;
}

/// <summary>What a product of floats does with its sums.</summary>
internal interface ISimtOutput
{
    /// <summary>Columns of the product that make one of the output: two where they are gate and up.</summary>
    static abstract int ColumnsPerOutput { get; }

    /// <summary>Takes eight sums of a row, <see cref="SimtLanes.Columns"/> columns apart. Columns outside are dropped.</summary>
    static abstract void Store(SimtOutput output, int row, int column, SimtRow sums);

    /// <summary>Takes one sum, or of gate and up both; the column is inside.</summary>
    static abstract void StoreOne(SimtOutput output, int row, int column, float sum, float up);
}

/// <summary>Stores floats.</summary>
internal readonly struct SimtStore : ISimtOutput
{
    public static int ColumnsPerOutput => 1;

    public static void Store(SimtOutput output, int row, int column, SimtRow sums)
    {
        long at = (long)row * output.NumColumns + column;
        StoreFour(output, at, column, sums.Low);
        StoreFour(output, at + 4 * SimtLanes.Columns, column + 4 * SimtLanes.Columns, sums.High);
    }

    public static void StoreOne(SimtOutput output, int row, int column, float sum, float up) =>
        output.Values[(long)row * output.NumColumns + column] = sum + output.BiasOf(column);

    private static void StoreFour(SimtOutput output, long at, int column, Float4 sums)
    {
        StoreOne(output, at, column, sums.X);
        StoreOne(output, at + SimtLanes.Columns, column + SimtLanes.Columns, sums.Y);
        StoreOne(output, at + 2 * SimtLanes.Columns, column + 2 * SimtLanes.Columns, sums.Z);
        StoreOne(output, at + 3 * SimtLanes.Columns, column + 3 * SimtLanes.Columns, sums.W);
    }

    private static void StoreOne(SimtOutput output, long at, int column, float sum)
    {
        if (column < output.NumColumns)
            output.Values[at] = sum + output.BiasOf(column);
    }
}

/// <summary>Adds to floats.</summary>
internal readonly struct SimtAdd : ISimtOutput
{
    public static int ColumnsPerOutput => 1;

    public static void Store(SimtOutput output, int row, int column, SimtRow sums)
    {
        AddFour(output, row, column, sums.Low);
        AddFour(output, row, column + 4 * SimtLanes.Columns, sums.High);
    }

    public static void StoreOne(SimtOutput output, int row, int column, float sum, float up) =>
        output.Values[(long)row * output.NumColumns + column] += sum + output.BiasOf(column);

    private static void AddFour(SimtOutput output, int row, int column, Float4 sums)
    {
        if (column + 3 * SimtLanes.Columns < output.NumColumns)
        {
            // All are requested before one is used.
            long at = (long)row * output.NumColumns + column;
            float a = output.Values[at], b = output.Values[at + SimtLanes.Columns];
            float c = output.Values[at + 2 * SimtLanes.Columns], d = output.Values[at + 3 * SimtLanes.Columns];
            output.Values[at] = a + (sums.X + output.BiasOf(column));
            output.Values[at + SimtLanes.Columns] = b + (sums.Y + output.BiasOf(column + SimtLanes.Columns));
            output.Values[at + 2 * SimtLanes.Columns] = c + (sums.Z + output.BiasOf(column + 2 * SimtLanes.Columns));
            output.Values[at + 3 * SimtLanes.Columns] = d + (sums.W + output.BiasOf(column + 3 * SimtLanes.Columns));
            return;
        }
        AddOne(output, row, column, sums.X);
        AddOne(output, row, column + SimtLanes.Columns, sums.Y);
        AddOne(output, row, column + 2 * SimtLanes.Columns, sums.Z);
    }

    private static void AddOne(SimtOutput output, int row, int column, float sum)
    {
        if (column < output.NumColumns)
            StoreOne(output, row, column, sum, 0f);
    }
}

/// <summary>Stores silu(gate) * up; gate and up lie in blocks of 8 columns by turns.</summary>
internal readonly struct SimtSiluMul : ISimtOutput
{
    public static int ColumnsPerOutput => 2;

    // Of a lane's columns, two are in a block of gates, the next two in the block of their ups, and so on.
    public static void Store(SimtOutput output, int row, int column, SimtRow sums)
    {
        StorePair(output, row, column, sums.Low);
        StorePair(output, row, column + 4 * SimtLanes.Columns, sums.High);
    }

    public static void StoreOne(SimtOutput output, int row, int column, float sum, float up) =>
        output.Values[(long)row * (output.NumColumns / 2) + Target(column)] =
            DeviceMath.Silu(sum + output.BiasOf(column)) * (up + output.BiasOf(column + GpuLinearWeight.GateUpBlock));

    private static void StorePair(SimtOutput output, int row, int column, Float4 sums)
    {
        if (column >= output.NumColumns)
            return;
        StoreOne(output, row, column, sums.X, sums.Z);
        StoreOne(output, row, column + SimtLanes.Columns, sums.Y, sums.W);
    }

    private static int Target(int column) => column / (2 * GpuLinearWeight.GateUpBlock) * GpuLinearWeight.GateUpBlock + column % GpuLinearWeight.GateUpBlock;
}
