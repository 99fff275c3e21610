using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Two of something, in registers.</summary>
internal struct Two<T>
    where T : unmanaged
{
    public T A, B;
}

/// <summary>
/// A warp's part in decoding: 16 keys and values at a time, up to 16 query heads as the rows of products on tensor cores. Operands come from global memory
/// straight to where an mma wants them: the order of a head's elements within a product, and of the outputs, is chosen so that each lane loads chunks of
/// 16 bytes. With g = lane / 4 and t = lane % 4, a lane has, of every 64 elements,
/// keys: chunks t and t + 4 of key g (A, B) and of key g + 8 (C, D); queries the same of heads g and g + 8;
/// values: chunk g of keys 2t, 2t + 1, 2t + 8, 2t + 9 (A, B, C, D);
/// sums: number j for elements 16t + j (X) and 16t + 8 + j (Y) of head g, and of head g + 8 (Z, W).
/// </summary>
/// <typeparam name="TRaw">What a lane loads of 16 keys or of 16 values.</typeparam>
/// <typeparam name="TChunks">What it has of the queries: chunks of halves.</typeparam>
/// <typeparam name="TSums">A lane's sums.</typeparam>
internal interface IDecodeHead<TRaw, TChunks, TSums>
    where TRaw : unmanaged
    where TChunks : unmanaged
    where TSums : unmanaged
{
    /// <summary>Elements, a multiple of 64; a head may have fewer.</summary>
    static abstract int Dims { get; }

    /// <summary>What a chunk of eight elements takes in the cache.</summary>
    static abstract int ChunkBytes { get; }

    /// <summary>Requests keys. Rows are chunk numbers in the cache; <see cref="DecodeRows.None"/> and chunks beyond the head give zeros.</summary>
    static abstract TRaw LoadKeys(long keys, uint row, uint row8, int chunk, int numChunks);

    /// <summary>Requests values of keys 2t, 2t + 1, 2t + 8, 2t + 9.</summary>
    static abstract TRaw LoadValues(long values, Four<uint> rows, int chunk, int numChunks);

    /// <summary>Reads queries from shared memory, rows of <paramref name="pitch"/> chunks; zeros for the second eight heads where there are none.</summary>
    static abstract TChunks LoadQueries(ArrayView<UInt4> queries, int chunk, int pitch, bool hasSecond);

    /// <summary>Puts the newest key, from shared memory, where a row is the newest one.</summary>
    static abstract TRaw ReplaceKeys(TRaw keys, ArrayView<UInt4> newest, int chunk, bool isFirst, bool isSecond);

    /// <summary>Puts the newest value, from shared memory, in place of number <paramref name="index"/> of this lane's four.</summary>
    static abstract TRaw ReplaceValues(TRaw values, ArrayView<UInt4> newest, int chunk, int index);

    /// <summary>scores + queries . keys: A for keys 0-7, B for keys 8-15.</summary>
    static abstract Two<Float4> AddScores(Two<Float4> scores, TChunks queries, TRaw keys);

    /// <summary>Heads times factors: X for head g, Y for head g + 8.</summary>
    static abstract TSums Scale(TSums sums, float factor, float factor8);

    /// <summary>sums + weights times values.</summary>
    static abstract TSums AddValues(TSums sums, UInt4 weights, TRaw values);

    /// <summary>Writes head g's sums (or, of <paramref name="second"/>, head g + 8's) to shared memory, from this lane's element 16t on.</summary>
    static abstract void Store(TSums sums, ArrayView<Float4> output, int at, bool second);
}

/// <summary>Rows of the cache.</summary>
internal static class DecodeRows
{
    /// <summary>No row.</summary>
    public const uint None = uint.MaxValue;
}

/// <summary>64 elements.</summary>
internal readonly struct DecodeDims64 : IDecodeHead<Four<UInt4>, Four<UInt4>, Two<Four<Float4>>>
{
    public static int Dims => 64;

    public static int ChunkBytes => 16;

    public static Four<UInt4> LoadKeys(long keys, uint row, uint row8, int chunk, int numChunks)
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

    public static Four<UInt4> LoadValues(long values, Four<uint> rows, int chunk, int numChunks)
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

    public static Four<UInt4> LoadQueries(ArrayView<UInt4> queries, int chunk, int pitch, bool hasSecond)
    {
        int at = ((Group.IdxX & 31) >> 2) * pitch + chunk + (Group.IdxX & 3);
        Four<UInt4> rows = new() { A = queries[at], B = queries[at + 4] };
        if (hasSecond)
        {
            rows.C = queries[at + 8 * pitch];
            rows.D = queries[at + 8 * pitch + 4];
        }
        return rows;
    }

    public static Four<UInt4> ReplaceKeys(Four<UInt4> keys, ArrayView<UInt4> newest, int chunk, bool isFirst, bool isSecond)
    {
        UInt4 first = newest[chunk + (Group.IdxX & 3)], second = newest[chunk + (Group.IdxX & 3) + 4];
        return new()
        {
            A = Choose(isFirst, first, keys.A),
            B = Choose(isFirst, second, keys.B),
            C = Choose(isSecond, first, keys.C),
            D = Choose(isSecond, second, keys.D),
        };
    }

    public static Four<UInt4> ReplaceValues(Four<UInt4> values, ArrayView<UInt4> newest, int chunk, int index)
    {
        UInt4 own = newest[chunk + ((Group.IdxX & 31) >> 2)];
        return new()
        {
            A = Choose(index == 0, own, values.A),
            B = Choose(index == 1, own, values.B),
            C = Choose(index == 2, own, values.C),
            D = Choose(index == 3, own, values.D),
        };
    }

    public static Two<Float4> AddScores(Two<Float4> scores, Four<UInt4> queries, Four<UInt4> keys) =>
        AddScores(AddScores(scores, queries.A, queries.C, keys.A, keys.C), queries.B, queries.D, keys.B, keys.D);

    public static Two<Four<Float4>> Scale(Two<Four<Float4>> sums, float factor, float factor8) =>
        new() { A = Scale(sums.A, factor, factor8), B = Scale(sums.B, factor, factor8) };

    public static Two<Four<Float4>> AddValues(Two<Four<Float4>> sums, UInt4 weights, Four<UInt4> values) => new()
    {
        A = AddValues(sums.A, weights, values.A.X, values.B.X, values.C.X, values.D.X, values.A.Y, values.B.Y, values.C.Y, values.D.Y),
        B = AddValues(sums.B, weights, values.A.Z, values.B.Z, values.C.Z, values.D.Z, values.A.W, values.B.W, values.C.W, values.D.W),
    };

    public static void Store(Two<Four<Float4>> sums, ArrayView<Float4> output, int at, bool second)
    {
        output[at] = second ? Z(sums.A) : X(sums.A);
        output[at + 1] = second ? Z(sums.B) : X(sums.B);
        output[at + 2] = second ? W(sums.A) : Y(sums.A);
        output[at + 3] = second ? W(sums.B) : Y(sums.B);
    }

    private static UInt4 Load(long source, uint row, int chunk, int numChunks) =>
        PtxIntrinsics.LoadAhead16OrZero(source + (row + (long)chunk) * 16, row != DecodeRows.None && chunk < numChunks ? 1 : 0);

    private static UInt4 Choose(bool condition, UInt4 a, UInt4 b) => new()
    {
        X = condition ? a.X : b.X,
        Y = condition ? a.Y : b.Y,
        Z = condition ? a.Z : b.Z,
        W = condition ? a.W : b.W,
    };

    /// <summary>Two products over 16 elements each: a lane's chunk of a query and of a key holds its four elements of both.</summary>
    private static Two<Float4> AddScores(Two<Float4> scores, UInt4 query, UInt4 query8, UInt4 key, UInt4 key8)
    {
        UInt4 low = new() { X = query.X, Y = query8.X, Z = query.Y, W = query8.Y }, high = new() { X = query.Z, Y = query8.Z, Z = query.W, W = query8.W };
        Float4 first = PtxIntrinsics.MultiplyAdd16x8x16(low, new() { X = key.X, Y = key.Y }, scores.A);
        Float4 second = PtxIntrinsics.MultiplyAdd16x8x16(low, new() { X = key8.X, Y = key8.Y }, scores.B);
        return new()
        {
            A = PtxIntrinsics.MultiplyAdd16x8x16(high, new() { X = key.Z, Y = key.W }, first),
            B = PtxIntrinsics.MultiplyAdd16x8x16(high, new() { X = key8.Z, Y = key8.W }, second),
        };
    }

    private static Four<Float4> Scale(Four<Float4> sums, float factor, float factor8) => new()
    {
        A = Scale(sums.A, factor, factor8),
        B = Scale(sums.B, factor, factor8),
        C = Scale(sums.C, factor, factor8),
        D = Scale(sums.D, factor, factor8),
    };

    private static Float4 Scale(Float4 sums, float factor, float factor8) =>
        new() { X = sums.X * factor, Y = sums.Y * factor, Z = sums.Z * factor8, W = sums.W * factor8 };

    /// <summary>Four elements of the four keys' chunks: two words of each. A product wants two keys of the same element in a word.</summary>
    private static Four<Float4> AddValues(
        Four<Float4> sums, UInt4 weights, uint a, uint b, uint c, uint d, uint nextA, uint nextB, uint nextC, uint nextD) => new()
        {
            A = PtxIntrinsics.MultiplyAdd16x8x16(weights, new() { X = PtxIntrinsics.LowHalves(a, b), Y = PtxIntrinsics.LowHalves(c, d) }, sums.A),
            B = PtxIntrinsics.MultiplyAdd16x8x16(weights, new() { X = PtxIntrinsics.HighHalves(a, b), Y = PtxIntrinsics.HighHalves(c, d) }, sums.B),
            C = PtxIntrinsics.MultiplyAdd16x8x16(
                weights, new() { X = PtxIntrinsics.LowHalves(nextA, nextB), Y = PtxIntrinsics.LowHalves(nextC, nextD) }, sums.C),
            D = PtxIntrinsics.MultiplyAdd16x8x16(
                weights, new() { X = PtxIntrinsics.HighHalves(nextA, nextB), Y = PtxIntrinsics.HighHalves(nextC, nextD) }, sums.D),
        };

    private static Float4 X(Four<Float4> sums) => new() { X = sums.A.X, Y = sums.B.X, Z = sums.C.X, W = sums.D.X };

    private static Float4 Y(Four<Float4> sums) => new() { X = sums.A.Y, Y = sums.B.Y, Z = sums.C.Y, W = sums.D.Y };

    private static Float4 Z(Four<Float4> sums) => new() { X = sums.A.Z, Y = sums.B.Z, Z = sums.C.Z, W = sums.D.Z };

    private static Float4 W(Four<Float4> sums) => new() { X = sums.A.W, Y = sums.B.W, Z = sums.C.W, W = sums.D.W };
}

/// <summary>128 elements.</summary>
internal readonly struct DecodeDims128 : IDecodeHead<Two<Four<UInt4>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>>
{
    private const int Half = 8; // chunks

    public static int Dims => 128;

    public static int ChunkBytes => 16;

    public static Two<Four<UInt4>> LoadKeys(long keys, uint row, uint row8, int chunk, int numChunks) => new()
    {
        A = DecodeDims64.LoadKeys(keys, row, row8, chunk, numChunks),
        B = DecodeDims64.LoadKeys(keys, row, row8, chunk + Half, numChunks),
    };

    public static Two<Four<UInt4>> LoadValues(long values, Four<uint> rows, int chunk, int numChunks) => new()
    {
        A = DecodeDims64.LoadValues(values, rows, chunk, numChunks),
        B = DecodeDims64.LoadValues(values, rows, chunk + Half, numChunks),
    };

    public static Two<Four<UInt4>> LoadQueries(ArrayView<UInt4> queries, int chunk, int pitch, bool hasSecond) => new()
    {
        A = DecodeDims64.LoadQueries(queries, chunk, pitch, hasSecond),
        B = DecodeDims64.LoadQueries(queries, chunk + Half, pitch, hasSecond),
    };

    public static Two<Four<UInt4>> ReplaceKeys(Two<Four<UInt4>> keys, ArrayView<UInt4> newest, int chunk, bool isFirst, bool isSecond) => new()
    {
        A = DecodeDims64.ReplaceKeys(keys.A, newest, chunk, isFirst, isSecond),
        B = DecodeDims64.ReplaceKeys(keys.B, newest, chunk + Half, isFirst, isSecond),
    };

    public static Two<Four<UInt4>> ReplaceValues(Two<Four<UInt4>> values, ArrayView<UInt4> newest, int chunk, int index) => new()
    {
        A = DecodeDims64.ReplaceValues(values.A, newest, chunk, index),
        B = DecodeDims64.ReplaceValues(values.B, newest, chunk + Half, index),
    };

    public static Two<Float4> AddScores(Two<Float4> scores, Two<Four<UInt4>> queries, Two<Four<UInt4>> keys) =>
        DecodeDims64.AddScores(DecodeDims64.AddScores(scores, queries.A, keys.A), queries.B, keys.B);

    public static Two<Two<Four<Float4>>> Scale(Two<Two<Four<Float4>>> sums, float factor, float factor8) =>
        new() { A = DecodeDims64.Scale(sums.A, factor, factor8), B = DecodeDims64.Scale(sums.B, factor, factor8) };

    public static Two<Two<Four<Float4>>> AddValues(Two<Two<Four<Float4>>> sums, UInt4 weights, Two<Four<UInt4>> values) =>
        new() { A = DecodeDims64.AddValues(sums.A, weights, values.A), B = DecodeDims64.AddValues(sums.B, weights, values.B) };

    public static void Store(Two<Two<Four<Float4>>> sums, ArrayView<Float4> output, int at, bool second)
    {
        DecodeDims64.Store(sums.A, output, at, second);
        DecodeDims64.Store(sums.B, output, at + 2 * Half, second);
    }
}
