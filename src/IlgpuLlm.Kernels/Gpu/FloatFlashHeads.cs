using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A lane's sums of weighted values: of four queries, and of its part of a head's elements.</summary>
internal interface IFloatFlashHead<TSelf>
    where TSelf : unmanaged, IFloatFlashHead<TSelf>
{
    /// <summary>Elements of the head; the eight lanes of a query share them.</summary>
    static abstract int Dims { get; }

    /// <summary>Queries times factors.</summary>
    static abstract TSelf Scale(TSelf sums, Float4 factors);

    /// <summary>sums + weights times values of four keys, in order; the values' rows are <paramref name="pitch"/> bytes apart.</summary>
    static abstract TSelf AddValues(TSelf sums, Four<Float4> weights, uint values, uint pitch);

    /// <summary>Writes the queries that are in the tile, from element <paramref name="dim"/> of their heads on.</summary>
    static abstract void Store(TSelf sums, FloatFlashTarget target, int dim);
}

/// <summary>Where a lane's four queries go.</summary>
internal struct FloatFlashTarget
{
    public ArrayView<float> Output;
    public long First; // the first query's head
    public long Stride; // between the lane's queries
    public int Count; // of queries 0, 4, 8 and 12 from the first on those below this are stored
    public int Lane; // the lane's place in a row

    /// <summary>Stores four neighbours.</summary>
    public static void Store(FloatFlashTarget target, int query, int dim, Float4 values)
    {
        if (query * FloatFlashLanes.Queries < target.Count)
            F32Element.Store4(target.Output, target.First + query * target.Stride + dim + 4 * target.Lane, values);
    }

    /// <summary>Stores two neighbours.</summary>
    public static void Store(FloatFlashTarget target, int query, int dim, Float2 values)
    {
        if (query * FloatFlashLanes.Queries < target.Count)
            target.Output.Cast<Float2>().AsAligned(8)[(target.First + query * target.Stride + dim) / 2 + target.Lane] = values;
    }
}

/// <summary>Neighbouring elements of a lane.</summary>
internal interface IFloatFlashElements<TSelf>
    where TSelf : unmanaged, IFloatFlashElements<TSelf>
{
    /// <summary>How many.</summary>
    static abstract int Count { get; }

    static abstract TSelf Load(uint shared);

    static abstract TSelf Scale(TSelf values, float factor);

    /// <summary>sums + weight * values.</summary>
    static abstract TSelf Add(TSelf sums, float weight, TSelf values);

    /// <summary>Stores them as those of a query.</summary>
    static abstract void Store(TSelf values, FloatFlashTarget target, int query, int dim);
}

/// <summary>Four neighbours.</summary>
internal struct FloatFlashElements4 : IFloatFlashElements<FloatFlashElements4>
{
    private Float4 _values;

    public static int Count => 4;

    public static FloatFlashElements4 Load(uint shared) => new() { _values = PtxIntrinsics.LoadShared4(shared) };

    public static FloatFlashElements4 Scale(FloatFlashElements4 values, float factor) =>
        new() { _values = new() { X = values._values.X * factor, Y = values._values.Y * factor, Z = values._values.Z * factor, W = values._values.W * factor } };

    public static FloatFlashElements4 Add(FloatFlashElements4 sums, float weight, FloatFlashElements4 values) => new()
    {
        _values = new()
        {
            X = PtxIntrinsics.MultiplyAdd(weight, values._values.X, sums._values.X),
            Y = PtxIntrinsics.MultiplyAdd(weight, values._values.Y, sums._values.Y),
            Z = PtxIntrinsics.MultiplyAdd(weight, values._values.Z, sums._values.Z),
            W = PtxIntrinsics.MultiplyAdd(weight, values._values.W, sums._values.W),
        },
    };

    public static void Store(FloatFlashElements4 values, FloatFlashTarget target, int query, int dim) => FloatFlashTarget.Store(target, query, dim, values._values);
}

/// <summary>Two neighbours.</summary>
internal struct FloatFlashElements2 : IFloatFlashElements<FloatFlashElements2>
{
    private Float2 _values;

    public static int Count => 2;

    public static FloatFlashElements2 Load(uint shared) => new() { _values = PtxIntrinsics.LoadShared2(shared) };

    public static FloatFlashElements2 Scale(FloatFlashElements2 values, float factor) =>
        new() { _values = new() { X = values._values.X * factor, Y = values._values.Y * factor } };

    public static FloatFlashElements2 Add(FloatFlashElements2 sums, float weight, FloatFlashElements2 values) => new()
    {
        _values = new() { X = PtxIntrinsics.MultiplyAdd(weight, values._values.X, sums._values.X), Y = PtxIntrinsics.MultiplyAdd(weight, values._values.Y, sums._values.Y) },
    };

    public static void Store(FloatFlashElements2 values, FloatFlashTarget target, int query, int dim) => FloatFlashTarget.Store(target, query, dim, values._values);
}

/// <summary>Eight lanes' elements: 32 or 16.</summary>
internal struct FloatFlashDims<TElements> : IFloatFlashHead<FloatFlashDims<TElements>>
    where TElements : unmanaged, IFloatFlashElements<TElements>
{
    private Four<TElements> _sums; // of the queries

    public static int Dims => FloatFlashLanes.Keys * TElements.Count;

    public static FloatFlashDims<TElements> Scale(FloatFlashDims<TElements> sums, Float4 factors) => new()
    {
        _sums = new()
        {
            A = TElements.Scale(sums._sums.A, factors.X),
            B = TElements.Scale(sums._sums.B, factors.Y),
            C = TElements.Scale(sums._sums.C, factors.Z),
            D = TElements.Scale(sums._sums.D, factors.W),
        },
    };

    public static FloatFlashDims<TElements> AddValues(FloatFlashDims<TElements> sums, Four<Float4> weights, uint values, uint pitch)
    {
        values += (uint)(FloatFlashLanes.Key(Group.IdxX & 31) * TElements.Count * sizeof(float));
        Four<TElements> keys = new()
        {
            A = TElements.Load(values),
            B = TElements.Load(values + pitch),
            C = TElements.Load(values + 2 * pitch),
            D = TElements.Load(values + 3 * pitch),
        };
        return new()
        {
            _sums = new()
            {
                A = Add(sums._sums.A, weights.A, keys),
                B = Add(sums._sums.B, weights.B, keys),
                C = Add(sums._sums.C, weights.C, keys),
                D = Add(sums._sums.D, weights.D, keys),
            },
        };
    }

    public static void Store(FloatFlashDims<TElements> sums, FloatFlashTarget target, int dim)
    {
        TElements.Store(sums._sums.A, target, 0, dim);
        TElements.Store(sums._sums.B, target, 1, dim);
        TElements.Store(sums._sums.C, target, 2, dim);
        TElements.Store(sums._sums.D, target, 3, dim);
    }

    private static TElements Add(TElements sums, Float4 weights, Four<TElements> keys) =>
        TElements.Add(TElements.Add(TElements.Add(TElements.Add(sums, weights.X, keys.A), weights.Y, keys.B), weights.Z, keys.C), weights.W, keys.D);
}

/// <summary>The elements of <typeparamref name="TFirst"/>, then those of <typeparamref name="TSecond"/>.</summary>
internal struct FloatFlashJoin<TFirst, TSecond> : IFloatFlashHead<FloatFlashJoin<TFirst, TSecond>>
    where TFirst : unmanaged, IFloatFlashHead<TFirst>
    where TSecond : unmanaged, IFloatFlashHead<TSecond>
{
    private TFirst _first;
    private TSecond _second;

    public static int Dims => TFirst.Dims + TSecond.Dims;

    public static FloatFlashJoin<TFirst, TSecond> Scale(FloatFlashJoin<TFirst, TSecond> sums, Float4 factors) =>
        new() { _first = TFirst.Scale(sums._first, factors), _second = TSecond.Scale(sums._second, factors) };

    public static FloatFlashJoin<TFirst, TSecond> AddValues(FloatFlashJoin<TFirst, TSecond> sums, Four<Float4> weights, uint values, uint pitch) => new()
    {
        _first = TFirst.AddValues(sums._first, weights, values, pitch),
        _second = TSecond.AddValues(sums._second, weights, values + (uint)TFirst.Dims * sizeof(float), pitch),
    };

    public static void Store(FloatFlashJoin<TFirst, TSecond> sums, FloatFlashTarget target, int dim)
    {
        TFirst.Store(sums._first, target, dim);
        TSecond.Store(sums._second, target, dim + TFirst.Dims);
    }
}
