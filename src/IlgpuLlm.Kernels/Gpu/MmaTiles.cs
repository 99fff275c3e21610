using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Four of something, in registers.</summary>
internal struct Four<T>
    where T : unmanaged
{
    public T A, B, C, D;
}

/// <summary>
/// A warp's accumulators for some rows and 32 columns of a tensor-core product. Like <see cref="ITokenTile{TSelf}"/>, built from pairs of pairs and
/// passed by value.
/// </summary>
internal interface IMmaTile<TSelf>
    where TSelf : unmanaged, IMmaTile<TSelf>
{
    /// <summary>Rows of the tile, a multiple of 16.</summary>
    static abstract int Rows { get; }

    /// <summary>What becomes of columns of b once they are loaded.</summary>
    static abstract UInt4 Columns(UInt4 loaded);

    /// <summary>Adds a [rows, 16] x b [16, 32]; <paramref name="a"/> is this lane's address for the first 16 rows, further ones follow it.</summary>
    static abstract TSelf Step(TSelf tile, uint a, UInt4 b01, UInt4 b23);

    /// <summary>Hands the sums to the output; row and column are those of the lane's first pair.</summary>
    static abstract void Store<TOutput>(TSelf tile, MmaOutput output, int row, int column)
        where TOutput : struct, IMmaOutput;
}

/// <summary>16 rows.</summary>
internal struct MmaRows16 : IMmaTile<MmaRows16>
{
    private Four<Float4> _sums;

    public static int Rows => 16;

    public static UInt4 Columns(UInt4 loaded) => loaded;

    public static MmaRows16 Step(MmaRows16 tile, uint a, UInt4 b01, UInt4 b23)
    {
        UInt4 rows = PtxIntrinsics.LoadMatrices4(a);
        return new()
        {
            _sums = new()
            {
                A = PtxIntrinsics.MultiplyAdd16x8x16(rows, new() { X = b01.X, Y = b01.Y }, tile._sums.A),
                B = PtxIntrinsics.MultiplyAdd16x8x16(rows, new() { X = b01.Z, Y = b01.W }, tile._sums.B),
                C = PtxIntrinsics.MultiplyAdd16x8x16(rows, new() { X = b23.X, Y = b23.Y }, tile._sums.C),
                D = PtxIntrinsics.MultiplyAdd16x8x16(rows, new() { X = b23.Z, Y = b23.W }, tile._sums.D),
            },
        };
    }

    public static void Store<TOutput>(MmaRows16 tile, MmaOutput output, int row, int column)
        where TOutput : struct, IMmaOutput => TOutput.Store(output, row, column, tile._sums);
}

/// <summary>16 rows of floats, rounded to TF32. Whatever counts elements of k counts halves, two a float.</summary>
internal struct MmaTf32Rows16 : IMmaTile<MmaTf32Rows16>
{
    private Four<Float4> _sums;

    public static int Rows => 16;

    public static UInt4 Columns(UInt4 loaded) => Round(loaded);

    public static MmaTf32Rows16 Step(MmaTf32Rows16 tile, uint a, UInt4 b01, UInt4 b23)
    {
        UInt4 rows = Round(PtxIntrinsics.LoadMatrices4(a)); // an 8x8 matrix of halves is an 8x4 matrix of floats, a float a lane
        return new()
        {
            _sums = new()
            {
                A = PtxIntrinsics.MultiplyAdd16x8x8(rows, new() { X = b01.X, Y = b01.Y }, tile._sums.A),
                B = PtxIntrinsics.MultiplyAdd16x8x8(rows, new() { X = b01.Z, Y = b01.W }, tile._sums.B),
                C = PtxIntrinsics.MultiplyAdd16x8x8(rows, new() { X = b23.X, Y = b23.Y }, tile._sums.C),
                D = PtxIntrinsics.MultiplyAdd16x8x8(rows, new() { X = b23.Z, Y = b23.W }, tile._sums.D),
            },
        };
    }

    public static void Store<TOutput>(MmaTf32Rows16 tile, MmaOutput output, int row, int column)
        where TOutput : struct, IMmaOutput => TOutput.Store(output, row, column, tile._sums);

    private static UInt4 Round(UInt4 values) => new()
    {
        X = PtxIntrinsics.RoundToTf32(values.X),
        Y = PtxIntrinsics.RoundToTf32(values.Y),
        Z = PtxIntrinsics.RoundToTf32(values.Z),
        W = PtxIntrinsics.RoundToTf32(values.W),
    };
}

/// <summary>Twice as many rows as <typeparamref name="T"/>.</summary>
internal struct MmaPair<T> : IMmaTile<MmaPair<T>>
    where T : unmanaged, IMmaTile<T>
{
    private T _first, _second;

    public static int Rows => 2 * T.Rows;

    public static UInt4 Columns(UInt4 loaded) => T.Columns(loaded);

    public static MmaPair<T> Step(MmaPair<T> tile, uint a, UInt4 b01, UInt4 b23) => new()
    {
        _first = T.Step(tile._first, a, b01, b23),
        _second = T.Step(tile._second, a + (uint)(T.Rows * MmaLinearKernel.RowBytes), b01, b23),
    };

    public static void Store<TOutput>(MmaPair<T> tile, MmaOutput output, int row, int column)
        where TOutput : struct, IMmaOutput
    {
        T.Store<TOutput>(tile._first, output, row, column);
        T.Store<TOutput>(tile._second, output, row + T.Rows, column);
    }
}
