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

/// <summary>32 elements: four neighbours a lane.</summary>
internal struct FloatFlashDims32 : IFloatFlashHead<FloatFlashDims32>
{
    private Float4 _a, _b, _c, _d;

    public static int Dims => 32;

    public static FloatFlashDims32 Scale(FloatFlashDims32 sums, Float4 factors) => new()
    {
        _a = Scale(sums._a, factors.X),
        _b = Scale(sums._b, factors.Y),
        _c = Scale(sums._c, factors.Z),
        _d = Scale(sums._d, factors.W),
    };

    public static FloatFlashDims32 AddValues(FloatFlashDims32 sums, Four<Float4> weights, uint values, uint pitch)
    {
        values += (uint)FloatFlashLanes.Key(Group.IdxX & 31) * 16;
        Float4 first = PtxIntrinsics.LoadShared4(values), second = PtxIntrinsics.LoadShared4(values + pitch);
        Float4 third = PtxIntrinsics.LoadShared4(values + 2 * pitch), fourth = PtxIntrinsics.LoadShared4(values + 3 * pitch);
        return new()
        {
            _a = Add(Add(Add(Add(sums._a, weights.A.X, first), weights.A.Y, second), weights.A.Z, third), weights.A.W, fourth),
            _b = Add(Add(Add(Add(sums._b, weights.B.X, first), weights.B.Y, second), weights.B.Z, third), weights.B.W, fourth),
            _c = Add(Add(Add(Add(sums._c, weights.C.X, first), weights.C.Y, second), weights.C.Z, third), weights.C.W, fourth),
            _d = Add(Add(Add(Add(sums._d, weights.D.X, first), weights.D.Y, second), weights.D.Z, third), weights.D.W, fourth),
        };
    }

    public static void Store(FloatFlashDims32 sums, FloatFlashTarget target, int dim)
    {
        FloatFlashTarget.Store(target, 0, dim, sums._a);
        FloatFlashTarget.Store(target, 1, dim, sums._b);
        FloatFlashTarget.Store(target, 2, dim, sums._c);
        FloatFlashTarget.Store(target, 3, dim, sums._d);
    }

    private static Float4 Scale(Float4 values, float factor) => new() { X = values.X * factor, Y = values.Y * factor, Z = values.Z * factor, W = values.W * factor };

    private static Float4 Add(Float4 sums, float weight, Float4 values) => new()
    {
        X = PtxIntrinsics.MultiplyAdd(weight, values.X, sums.X),
        Y = PtxIntrinsics.MultiplyAdd(weight, values.Y, sums.Y),
        Z = PtxIntrinsics.MultiplyAdd(weight, values.Z, sums.Z),
        W = PtxIntrinsics.MultiplyAdd(weight, values.W, sums.W),
    };
}

/// <summary>16 elements: two neighbours a lane.</summary>
internal struct FloatFlashDims16 : IFloatFlashHead<FloatFlashDims16>
{
    private Float2 _a, _b, _c, _d;

    public static int Dims => 16;

    public static FloatFlashDims16 Scale(FloatFlashDims16 sums, Float4 factors) => new()
    {
        _a = Scale(sums._a, factors.X),
        _b = Scale(sums._b, factors.Y),
        _c = Scale(sums._c, factors.Z),
        _d = Scale(sums._d, factors.W),
    };

    public static FloatFlashDims16 AddValues(FloatFlashDims16 sums, Four<Float4> weights, uint values, uint pitch)
    {
        values += (uint)FloatFlashLanes.Key(Group.IdxX & 31) * 8;
        Float2 first = PtxIntrinsics.LoadShared2(values), second = PtxIntrinsics.LoadShared2(values + pitch);
        Float2 third = PtxIntrinsics.LoadShared2(values + 2 * pitch), fourth = PtxIntrinsics.LoadShared2(values + 3 * pitch);
        return new()
        {
            _a = Add(Add(Add(Add(sums._a, weights.A.X, first), weights.A.Y, second), weights.A.Z, third), weights.A.W, fourth),
            _b = Add(Add(Add(Add(sums._b, weights.B.X, first), weights.B.Y, second), weights.B.Z, third), weights.B.W, fourth),
            _c = Add(Add(Add(Add(sums._c, weights.C.X, first), weights.C.Y, second), weights.C.Z, third), weights.C.W, fourth),
            _d = Add(Add(Add(Add(sums._d, weights.D.X, first), weights.D.Y, second), weights.D.Z, third), weights.D.W, fourth),
        };
    }

    public static void Store(FloatFlashDims16 sums, FloatFlashTarget target, int dim)
    {
        FloatFlashTarget.Store(target, 0, dim, sums._a);
        FloatFlashTarget.Store(target, 1, dim, sums._b);
        FloatFlashTarget.Store(target, 2, dim, sums._c);
        FloatFlashTarget.Store(target, 3, dim, sums._d);
    }

    private static Float2 Scale(Float2 values, float factor) => new() { X = values.X * factor, Y = values.Y * factor };

    private static Float2 Add(Float2 sums, float weight, Float2 values) => new()
    {
        X = PtxIntrinsics.MultiplyAdd(weight, values.X, sums.X),
        Y = PtxIntrinsics.MultiplyAdd(weight, values.Y, sums.Y),
    };
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
