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
    public readonly float BiasOf(int column) => HasBias != 0 && column < NumColumns ? Bias[column] : 0f;

    /// <summary>The biases of a lane's columns.</summary>
    public readonly SimtRow BiasesOf(int column)
    {
        if (HasBias == 0)
            return default;
        return new()
        {
            Low = new()
            {
                X = BiasOf(column),
                Y = BiasOf(column + SimtLanes.Columns),
                Z = BiasOf(column + 2 * SimtLanes.Columns),
                W = BiasOf(column + 3 * SimtLanes.Columns),
            },
            High = new()
            {
                X = BiasOf(column + 4 * SimtLanes.Columns),
                Y = BiasOf(column + 5 * SimtLanes.Columns),
                Z = BiasOf(column + 6 * SimtLanes.Columns),
                W = BiasOf(column + 7 * SimtLanes.Columns),
            },
        };
    }
}

/// <summary>What a product of floats does with its sums, to which the biases are added before.</summary>
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

    public static void StoreOne(SimtOutput output, int row, int column, float sum, float up) => output.Values[(long)row * output.NumColumns + column] = sum;

    private static void StoreFour(SimtOutput output, long at, int column, Float4 sums)
    {
        StoreInside(output, at, column, sums.X);
        StoreInside(output, at + SimtLanes.Columns, column + SimtLanes.Columns, sums.Y);
        StoreInside(output, at + 2 * SimtLanes.Columns, column + 2 * SimtLanes.Columns, sums.Z);
        StoreInside(output, at + 3 * SimtLanes.Columns, column + 3 * SimtLanes.Columns, sums.W);
    }

    private static void StoreInside(SimtOutput output, long at, int column, float sum)
    {
        if (column < output.NumColumns)
            output.Values[at] = sum;
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

    public static void StoreOne(SimtOutput output, int row, int column, float sum, float up) => output.Values[(long)row * output.NumColumns + column] += sum;

    private static void AddFour(SimtOutput output, int row, int column, Float4 sums)
    {
        if (column + 3 * SimtLanes.Columns < output.NumColumns)
        {
            // All are requested before one is used.
            long at = (long)row * output.NumColumns + column;
            float a = output.Values[at], b = output.Values[at + SimtLanes.Columns];
            float c = output.Values[at + 2 * SimtLanes.Columns], d = output.Values[at + 3 * SimtLanes.Columns];
            output.Values[at] = a + sums.X;
            output.Values[at + SimtLanes.Columns] = b + sums.Y;
            output.Values[at + 2 * SimtLanes.Columns] = c + sums.Z;
            output.Values[at + 3 * SimtLanes.Columns] = d + sums.W;
            return;
        }
        AddInside(output, row, column, sums.X);
        AddInside(output, row, column + SimtLanes.Columns, sums.Y);
        AddInside(output, row, column + 2 * SimtLanes.Columns, sums.Z);
    }

    private static void AddInside(SimtOutput output, int row, int column, float sum)
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
        output.Values[(long)row * (output.NumColumns / 2) + Target(column)] = DeviceMath.Silu(sum) * up;

    private static void StorePair(SimtOutput output, int row, int column, Float4 sums)
    {
        if (column >= output.NumColumns)
            return;
        StoreOne(output, row, column, sums.X, sums.Z);
        StoreOne(output, row, column + SimtLanes.Columns, sums.Y, sums.W);
    }

    private static int Target(int column) =>
        column / (2 * GpuWeight.GateUpBlock) * GpuWeight.GateUpBlock + (column & (GpuWeight.GateUpBlock - 1));
}
