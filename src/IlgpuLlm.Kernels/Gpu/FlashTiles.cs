using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A warp's sums for 32 rows and 16 columns: rows 0-15 are Top, 16-31 Bottom; columns 0-7 Left, 8-15 Right. Lane l holds rows l / 4 (X, Y) and
/// l / 4 + 8 (Z, W) of each 16, columns 2 (l % 4) and the next of each 8.
/// </summary>
internal struct FlashBlock
{
    public Float4 TopLeft, TopRight, BottomLeft, BottomRight;

    /// <summary>block + rows times columns, with 16 products a sum: the first two matrices of <paramref name="columns"/> are those of columns 0-7.</summary>
    public static FlashBlock Multiply(FlashBlock block, UInt4 top, UInt4 bottom, UInt4 columns)
    {
        // Neighbours of an ldmatrix become neighbours of an mma: others would be moved first.
        UInt2 left = new() { X = columns.X, Y = columns.Y }, right = new() { X = columns.Z, Y = columns.W };
        return new()
        {
            TopLeft = PtxIntrinsics.MultiplyAdd16x8x16(top, left, block.TopLeft),
            TopRight = PtxIntrinsics.MultiplyAdd16x8x16(top, right, block.TopRight),
            BottomLeft = PtxIntrinsics.MultiplyAdd16x8x16(bottom, left, block.BottomLeft),
            BottomRight = PtxIntrinsics.MultiplyAdd16x8x16(bottom, right, block.BottomRight),
        };
    }

    /// <summary>Rows times factors: X for rows l / 4, Y for 8 more, Z for 16 more, W for 24 more.</summary>
    public static FlashBlock Scale(FlashBlock block, Float4 factors) => new()
    {
        TopLeft = Scale(block.TopLeft, factors.X, factors.Y),
        TopRight = Scale(block.TopRight, factors.X, factors.Y),
        BottomLeft = Scale(block.BottomLeft, factors.Z, factors.W),
        BottomRight = Scale(block.BottomRight, factors.Z, factors.W),
    };

    private static Float4 Scale(Float4 values, float first, float second) =>
        new() { X = values.X * first, Y = values.Y * first, Z = values.Z * second, W = values.W * second };
}

/// <summary>The outputs of a warp's 32 rows, and the products over a head's elements, in steps of 16.</summary>
internal interface IFlashHead<TSelf>
    where TSelf : unmanaged, IFlashHead<TSelf>
{
    /// <summary>Elements.</summary>
    static abstract int Dims { get; }

    /// <summary>scores + queries . keys. The addresses are this lane's for the first matrices; rows are <paramref name="pitch"/> bytes apart.</summary>
    static abstract TScores AddScores<TScores>(TScores scores, uint query, uint key, uint pitch)
        where TScores : unmanaged, IFlashScores<TScores>;

    /// <summary>Rows times factors.</summary>
    static abstract TSelf Scale(TSelf output, Float4 factors);

    /// <summary>output + weights times values, of 16 keys.</summary>
    static abstract TSelf AddValues(TSelf output, UInt4 top, UInt4 bottom, uint value);

    /// <summary>Writes the rows that are in the tile.</summary>
    static abstract void Store(TSelf output, FlashRows rows, int column);
}

/// <summary>Where this lane's four rows go.</summary>
internal struct FlashRows
{
    public ArrayView<uint> Output; // pairs of halves
    public long First; // the first row's pair of halves for column 0
    public int Stride; // of 8 rows, in pairs
    public int Count; // of this lane's rows 0, 8, 16, 24 those below this are stored

    /// <summary>Stores columns <paramref name="column"/> and the next of two rows.</summary>
    public static void Store(FlashRows rows, Float4 values, int row, int column)
    {
        long at = rows.First + column / 2;
        if (row < rows.Count)
            rows.Output[at + (long)(row / 8) * rows.Stride] = PtxIntrinsics.PackHalves(values.X, values.Y);
        if (row + 8 < rows.Count)
            rows.Output[at + (long)(row / 8 + 1) * rows.Stride] = PtxIntrinsics.PackHalves(values.Z, values.W);
    }
}

/// <summary>16 elements.</summary>
internal struct FlashDims16 : IFlashHead<FlashDims16>
{
    private FlashBlock _sums;

    public static int Dims => 16;

    public static TScores AddScores<TScores>(TScores scores, uint query, uint key, uint pitch)
        where TScores : unmanaged, IFlashScores<TScores> =>
        TScores.AddProducts(scores, PtxIntrinsics.LoadMatrices4(query), PtxIntrinsics.LoadMatrices4(query + 16 * pitch), key, pitch);

    public static FlashDims16 Scale(FlashDims16 output, Float4 factors) => new() { _sums = FlashBlock.Scale(output._sums, factors) };

    public static FlashDims16 AddValues(FlashDims16 output, UInt4 top, UInt4 bottom, uint value) =>
        new() { _sums = FlashBlock.Multiply(output._sums, top, bottom, PtxIntrinsics.LoadMatrices4Transposed(value)) };

    public static void Store(FlashDims16 output, FlashRows rows, int column)
    {
        FlashRows.Store(rows, output._sums.TopLeft, 0, column);
        FlashRows.Store(rows, output._sums.TopRight, 0, column + 8);
        FlashRows.Store(rows, output._sums.BottomLeft, 16, column);
        FlashRows.Store(rows, output._sums.BottomRight, 16, column + 8);
    }
}

/// <summary>The elements of <typeparamref name="TFirst"/>, then those of <typeparamref name="TSecond"/>.</summary>
internal struct FlashJoin<TFirst, TSecond> : IFlashHead<FlashJoin<TFirst, TSecond>>
    where TFirst : unmanaged, IFlashHead<TFirst>
    where TSecond : unmanaged, IFlashHead<TSecond>
{
    private TFirst _first;
    private TSecond _second;

    public static int Dims => TFirst.Dims + TSecond.Dims;

    private static uint FirstBytes => (uint)TFirst.Dims * 2;

    public static TScores AddScores<TScores>(TScores scores, uint query, uint key, uint pitch)
        where TScores : unmanaged, IFlashScores<TScores> =>
        TSecond.AddScores(TFirst.AddScores(scores, query, key, pitch), query + FirstBytes, key + FirstBytes, pitch);

    public static FlashJoin<TFirst, TSecond> Scale(FlashJoin<TFirst, TSecond> output, Float4 factors) =>
        new() { _first = TFirst.Scale(output._first, factors), _second = TSecond.Scale(output._second, factors) };

    public static FlashJoin<TFirst, TSecond> AddValues(FlashJoin<TFirst, TSecond> output, UInt4 top, UInt4 bottom, uint value) => new()
    {
        _first = TFirst.AddValues(output._first, top, bottom, value),
        _second = TSecond.AddValues(output._second, top, bottom, value + FirstBytes),
    };

    public static void Store(FlashJoin<TFirst, TSecond> output, FlashRows rows, int column)
    {
        TFirst.Store(output._first, rows, column);
        TSecond.Store(output._second, rows, column + TFirst.Dims);
    }
}
