using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Four elements of k of each of a lane's eight columns.</summary>
internal struct SimtColumns
{
    public Float4 A, B, C, D, E, F, G, H;

    /// <summary>Reads them, <paramref name="stride"/> bytes apart.</summary>
    public static SimtColumns Load(uint address, uint stride) => new()
    {
        A = PtxIntrinsics.LoadShared4(address),
        B = PtxIntrinsics.LoadShared4(address + stride),
        C = PtxIntrinsics.LoadShared4(address + 2 * stride),
        D = PtxIntrinsics.LoadShared4(address + 3 * stride),
        E = PtxIntrinsics.LoadShared4(address + 4 * stride),
        F = PtxIntrinsics.LoadShared4(address + 5 * stride),
        G = PtxIntrinsics.LoadShared4(address + 6 * stride),
        H = PtxIntrinsics.LoadShared4(address + 7 * stride),
    };
}

/// <summary>
/// A lane's sums of some rows and eight columns. The columns' chunks stay in registers for a step; the rows' are read one after the other. Like
/// <see cref="IMmaTile{TSelf}"/>, built from pairs of pairs and passed by value.
/// </summary>
internal interface ISimtTile<TSelf>
    where TSelf : unmanaged, ISimtTile<TSelf>
{
    /// <summary>Rows of a lane, <see cref="SimtLanes.Rows"/> apart.</summary>
    static abstract int Rows { get; }

    /// <summary>Adds the products of four elements of k; <paramref name="row"/> is the first row's address, <paramref name="stride"/> is between rows.</summary>
    static abstract TSelf Step(TSelf tile, uint row, uint stride, SimtColumns columns);

    /// <summary>Puts the sums into shared memory, rows of <paramref name="pitch"/> floats.</summary>
    static abstract void Put(TSelf tile, ArrayView<float> target, int at, int pitch);

    /// <summary>Adds them to the sums that another warp has put there.</summary>
    static abstract void AddTo(TSelf tile, ArrayView<float> target, int at, int pitch);

    /// <summary>Hands the sums to the output.</summary>
    static abstract void Store<TOutput>(TSelf tile, SimtOutput output, int row, int column, SimtRow biases)
        where TOutput : struct, ISimtOutput;
}

/// <summary>How a warp's lanes lie: eight rows and four columns of them.</summary>
internal static class SimtLanes
{
    public const int Rows = 8;
    public const int Columns = 4;

    /// <summary>Columns of a warp.</summary>
    public const int WarpColumns = 8 * Columns;

    // Shared memory serves a 16-byte load in two passes, a half-warp each, where lanes l and l ^ 1, or l and l ^ 2, want the same: so are rows and columns.

    /// <summary>A lane's row.</summary>
    public static int Row(int lane) => (lane >> 1) & 7;

    /// <summary>A lane's column.</summary>
    public static int Column(int lane) => (lane & 1) | ((lane >> 3) & 2);
}

/// <summary>One row.</summary>
internal struct SimtRow : ISimtTile<SimtRow>
{
    public Float4 Low, High; // columns 0..3 and 4..7 of the lane, SimtLanes.Columns apart

    public static int Rows => 1;

    public static SimtRow Step(SimtRow tile, uint row, uint stride, SimtColumns columns)
    {
        Float4 x = PtxIntrinsics.LoadShared4(row);
        return new()
        {
            Low = new()
            {
                X = Dot(x, columns.A, tile.Low.X),
                Y = Dot(x, columns.B, tile.Low.Y),
                Z = Dot(x, columns.C, tile.Low.Z),
                W = Dot(x, columns.D, tile.Low.W),
            },
            High = new()
            {
                X = Dot(x, columns.E, tile.High.X),
                Y = Dot(x, columns.F, tile.High.Y),
                Z = Dot(x, columns.G, tile.High.Z),
                W = Dot(x, columns.H, tile.High.W),
            },
        };
    }

    public static void Put(SimtRow tile, ArrayView<float> target, int at, int pitch)
    {
        target[at] = tile.Low.X;
        target[at + SimtLanes.Columns] = tile.Low.Y;
        target[at + 2 * SimtLanes.Columns] = tile.Low.Z;
        target[at + 3 * SimtLanes.Columns] = tile.Low.W;
        target[at + 4 * SimtLanes.Columns] = tile.High.X;
        target[at + 5 * SimtLanes.Columns] = tile.High.Y;
        target[at + 6 * SimtLanes.Columns] = tile.High.Z;
        target[at + 7 * SimtLanes.Columns] = tile.High.W;
    }

    public static void AddTo(SimtRow tile, ArrayView<float> target, int at, int pitch)
    {
        SimtRow there = new()
        {
            Low = new()
            {
                X = target[at],
                Y = target[at + SimtLanes.Columns],
                Z = target[at + 2 * SimtLanes.Columns],
                W = target[at + 3 * SimtLanes.Columns],
            },
            High = new()
            {
                X = target[at + 4 * SimtLanes.Columns],
                Y = target[at + 5 * SimtLanes.Columns],
                Z = target[at + 6 * SimtLanes.Columns],
                W = target[at + 7 * SimtLanes.Columns],
            },
        };
        Put(AddRow(tile, there), target, at, pitch);
    }

    public static void Store<TOutput>(SimtRow tile, SimtOutput output, int row, int column, SimtRow biases)
        where TOutput : struct, ISimtOutput
    {
        if (row < output.NumRows)
            TOutput.Store(output, row, column, AddRow(tile, biases));
    }

    private static SimtRow AddRow(SimtRow a, SimtRow b) => new()
    {
        Low = new() { X = a.Low.X + b.Low.X, Y = a.Low.Y + b.Low.Y, Z = a.Low.Z + b.Low.Z, W = a.Low.W + b.Low.W },
        High = new() { X = a.High.X + b.High.X, Y = a.High.Y + b.High.Y, Z = a.High.Z + b.High.Z, W = a.High.W + b.High.W },
    };

    /// <summary>sum + a . b, from left to right, each product and sum rounded once.</summary>
    public static float Dot(Float4 a, Float4 b, float sum)
    {
        sum = PtxIntrinsics.MultiplyAdd(a.X, b.X, sum);
        sum = PtxIntrinsics.MultiplyAdd(a.Y, b.Y, sum);
        sum = PtxIntrinsics.MultiplyAdd(a.Z, b.Z, sum);
        return PtxIntrinsics.MultiplyAdd(a.W, b.W, sum);
    }
}

/// <summary>Twice as many rows as <typeparamref name="T"/>.</summary>
internal struct SimtPair<T> : ISimtTile<SimtPair<T>>
    where T : unmanaged, ISimtTile<T>
{
    private T _first, _second;

    public static int Rows => 2 * T.Rows;

    public static SimtPair<T> Step(SimtPair<T> tile, uint row, uint stride, SimtColumns columns) => new()
    {
        _first = T.Step(tile._first, row, stride, columns),
        _second = T.Step(tile._second, row + (uint)T.Rows * stride, stride, columns),
    };

    public static void Put(SimtPair<T> tile, ArrayView<float> target, int at, int pitch)
    {
        T.Put(tile._first, target, at, pitch);
        T.Put(tile._second, target, at + T.Rows * SimtLanes.Rows * pitch, pitch);
    }

    public static void AddTo(SimtPair<T> tile, ArrayView<float> target, int at, int pitch)
    {
        T.AddTo(tile._first, target, at, pitch);
        T.AddTo(tile._second, target, at + T.Rows * SimtLanes.Rows * pitch, pitch);
    }

    public static void Store<TOutput>(SimtPair<T> tile, SimtOutput output, int row, int column, SimtRow biases)
        where TOutput : struct, ISimtOutput
    {
        T.Store<TOutput>(tile._first, output, row, column, biases);
        T.Store<TOutput>(tile._second, output, row + T.Rows * SimtLanes.Rows, column, biases);
    }
}
