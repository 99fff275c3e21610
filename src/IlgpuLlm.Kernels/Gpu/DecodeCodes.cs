using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// 64 elements of a cache of codes: the chunks of <see cref="DecodeDims64"/>, in eight bytes each. Products see codes, which halves hold exactly; scales
/// come to scores and weights.
/// </summary>
internal readonly struct DecodeCodes64 : IDecodeHead<Four<UInt2>, Four<UInt4>, Two<Four<Float4>>>
{
    private const uint Offset = 0x64806480; // 1024 + 128, twice

    public static int Dims => 64;

    public static int ChunkBytes => 8;

    public static Four<UInt2> LoadKeys(long keys, uint row, uint row8, int chunk, int numChunks)
    {
        int first = chunk + (Group.IdxX & 3), second = first + 4;
        return new()
        {
            A = Load(keys, row, first, numChunks),
            B = Load(keys, row, second, numChunks),
            C = Load(keys, row8, first, numChunks),
            D = Load(keys, row8, second, numChunks),
        };
    }

    public static Four<UInt2> LoadValues(long values, Four<uint> rows, int chunk, int numChunks)
    {
        int own = chunk + ((Group.IdxX & 31) >> 2);
        return new()
        {
            A = Load(values, rows.A, own, numChunks),
            B = Load(values, rows.B, own, numChunks),
            C = Load(values, rows.C, own, numChunks),
            D = Load(values, rows.D, own, numChunks),
        };
    }

    public static Four<UInt4> LoadQueries(ArrayView<UInt4> queries, int chunk, int pitch, bool hasSecond) => DecodeDims64.LoadQueries(queries, chunk, pitch, hasSecond);

    public static Four<UInt2> ReplaceKeys(Four<UInt2> keys, ArrayView<UInt4> newest, int chunk, bool isFirst, bool isSecond)
    {
        var codes = newest.Cast<UInt2>();
        UInt2 first = codes[chunk + (Group.IdxX & 3)], second = codes[chunk + (Group.IdxX & 3) + 4];
        return new()
        {
            A = Choose(isFirst, first, keys.A),
            B = Choose(isFirst, second, keys.B),
            C = Choose(isSecond, first, keys.C),
            D = Choose(isSecond, second, keys.D),
        };
    }

    public static Four<UInt2> ReplaceValues(Four<UInt2> values, ArrayView<UInt4> newest, int chunk, int index)
    {
        UInt2 own = newest.Cast<UInt2>()[chunk + ((Group.IdxX & 31) >> 2)];
        return new()
        {
            A = Choose(index == 0, own, values.A),
            B = Choose(index == 1, own, values.B),
            C = Choose(index == 2, own, values.C),
            D = Choose(index == 3, own, values.D),
        };
    }

    public static Two<Float4> AddScores(Two<Float4> scores, Four<UInt4> queries, Four<UInt2> keys) => DecodeDims64.AddScores(scores, queries, Widen(keys));

    public static Two<Four<Float4>> Scale(Two<Four<Float4>> sums, float factor, float factor8) => DecodeDims64.Scale(sums, factor, factor8);

    public static Two<Four<Float4>> AddValues(Two<Four<Float4>> sums, UInt4 weights, Four<UInt2> values) => DecodeDims64.AddValues(sums, weights, Widen(values));

    public static void Store(Two<Four<Float4>> sums, ArrayView<Float4> output, int at, bool second) => DecodeDims64.Store(sums, output, at, second);

    /// <summary>The codes of a chunk, exactly.</summary>
    public static UInt4 Widen(UInt2 bytes) => new()
    {
        X = PtxIntrinsics.SubtractHalves(PtxIntrinsics.LowBytes(bytes.X), Offset),
        Y = PtxIntrinsics.SubtractHalves(PtxIntrinsics.HighBytes(bytes.X), Offset),
        Z = PtxIntrinsics.SubtractHalves(PtxIntrinsics.LowBytes(bytes.Y), Offset),
        W = PtxIntrinsics.SubtractHalves(PtxIntrinsics.HighBytes(bytes.Y), Offset),
    };

    private static Four<UInt4> Widen(Four<UInt2> bytes) => new() { A = Widen(bytes.A), B = Widen(bytes.B), C = Widen(bytes.C), D = Widen(bytes.D) };

    private static UInt2 Load(long source, uint row, int chunk, int numChunks) =>
        PtxIntrinsics.LoadAhead8OrZero(source + (row + (long)chunk) * 8, row != DecodeRows.None && chunk < numChunks ? 1 : 0);

    private static UInt2 Choose(bool condition, UInt2 a, UInt2 b) => new() { X = condition ? a.X : b.X, Y = condition ? a.Y : b.Y };
}

/// <summary>128 elements.</summary>
internal readonly struct DecodeCodes128 : IDecodeHead<Two<Four<UInt2>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>>
{
    private const int Half = 8; // chunks

    public static int Dims => 128;

    public static int ChunkBytes => 8;

    public static Two<Four<UInt2>> LoadKeys(long keys, uint row, uint row8, int chunk, int numChunks) => new()
    {
        A = DecodeCodes64.LoadKeys(keys, row, row8, chunk, numChunks),
        B = DecodeCodes64.LoadKeys(keys, row, row8, chunk + Half, numChunks),
    };

    public static Two<Four<UInt2>> LoadValues(long values, Four<uint> rows, int chunk, int numChunks) => new()
    {
        A = DecodeCodes64.LoadValues(values, rows, chunk, numChunks),
        B = DecodeCodes64.LoadValues(values, rows, chunk + Half, numChunks),
    };

    public static Two<Four<UInt4>> LoadQueries(ArrayView<UInt4> queries, int chunk, int pitch, bool hasSecond) => DecodeDims128.LoadQueries(queries, chunk, pitch, hasSecond);

    public static Two<Four<UInt2>> ReplaceKeys(Two<Four<UInt2>> keys, ArrayView<UInt4> newest, int chunk, bool isFirst, bool isSecond) => new()
    {
        A = DecodeCodes64.ReplaceKeys(keys.A, newest, chunk, isFirst, isSecond),
        B = DecodeCodes64.ReplaceKeys(keys.B, newest, chunk + Half, isFirst, isSecond),
    };

    public static Two<Four<UInt2>> ReplaceValues(Two<Four<UInt2>> values, ArrayView<UInt4> newest, int chunk, int index) => new()
    {
        A = DecodeCodes64.ReplaceValues(values.A, newest, chunk, index),
        B = DecodeCodes64.ReplaceValues(values.B, newest, chunk + Half, index),
    };

    public static Two<Float4> AddScores(Two<Float4> scores, Two<Four<UInt4>> queries, Two<Four<UInt2>> keys) =>
        DecodeCodes64.AddScores(DecodeCodes64.AddScores(scores, queries.A, keys.A), queries.B, keys.B);

    public static Two<Two<Four<Float4>>> Scale(Two<Two<Four<Float4>>> sums, float factor, float factor8) => DecodeDims128.Scale(sums, factor, factor8);

    public static Two<Two<Four<Float4>>> AddValues(Two<Two<Four<Float4>>> sums, UInt4 weights, Two<Four<UInt2>> values) =>
        new() { A = DecodeCodes64.AddValues(sums.A, weights, values.A), B = DecodeCodes64.AddValues(sums.B, weights, values.B) };

    public static void Store(Two<Two<Four<Float4>>> sums, ArrayView<Float4> output, int at, bool second) => DecodeDims128.Store(sums, output, at, second);
}
