using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// How a warp's lanes lie over scores and sums: four queries one below the other, eight keys or parts of a head side by side. So turned that lanes l and
/// l ^ 1, or l and l ^ 2, read the same, which <see cref="SimtLanes"/> says why.
/// </summary>
internal static class FloatFlashLanes
{
    /// <summary>Queries between those of one lane.</summary>
    public const int Queries = SimtLanes.Columns;

    /// <summary>Keys between those of one lane.</summary>
    public const int Keys = SimtLanes.Rows;

    /// <summary>A lane's first query.</summary>
    public static int Query(int lane) => SimtLanes.Column(lane);

    /// <summary>A lane's first key, and its place in a row of values.</summary>
    public static int Key(int lane) => SimtLanes.Row(lane);

    /// <summary>The largest of a query's lanes.</summary>
    public static float Largest(float value)
    {
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 2));
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 4));
        return IntrinsicMath.Max(value, Warp.ShuffleXor(value, 8));
    }

    /// <summary>1 / the sums over the lanes of four queries.</summary>
    public static Float4 Inverse(Float4 sums) => new() { X = 1f / Sum(sums.X), Y = 1f / Sum(sums.Y), Z = 1f / Sum(sums.Z), W = 1f / Sum(sums.W) };

    private static float Sum(float value)
    {
        value += Warp.ShuffleXor(value, 2);
        value += Warp.ShuffleXor(value, 4);
        return value + Warp.ShuffleXor(value, 8);
    }
}

/// <summary>A lane's scores of eight keys; of each key X is that of the lane's first query, Y of the one 4 further, and so on.</summary>
internal struct FloatFlashScores
{
    private Two<Four<Float4>> _keys;

    /// <summary>
    /// Adds the products of four elements; the addresses are those of the lane's first query and key. Queries stay in registers, keys follow each other: so are
    /// the fewest registers in use.
    /// </summary>
    public static FloatFlashScores AddProducts(FloatFlashScores scores, uint query, uint queryPitch, uint key, uint keyPitch)
    {
        uint queryStride = FloatFlashLanes.Queries * queryPitch, keyStride = FloatFlashLanes.Keys * keyPitch;
        Four<Float4> queries = new()
        {
            A = PtxIntrinsics.LoadShared4(query),
            B = PtxIntrinsics.LoadShared4(query + queryStride),
            C = PtxIntrinsics.LoadShared4(query + 2 * queryStride),
            D = PtxIntrinsics.LoadShared4(query + 3 * queryStride),
        };
        return Of(AddProducts(scores._keys.A, queries, key, keyStride), AddProducts(scores._keys.B, queries, key + 4 * keyStride, keyStride));
    }

    /// <summary>
    /// Negative infinity where a key is not visible. <paramref name="distance"/>: from the lane's first key to its first query; a key is visible at
    /// distances 0..window - 1.
    /// </summary>
    public static FloatFlashScores Mask(FloatFlashScores scores, int distance, int window) =>
        Of(Mask(scores._keys.A, distance, window), Mask(scores._keys.B, distance - 4 * FloatFlashLanes.Keys, window));

    /// <summary>Each query's largest score, over all of its lanes, scaled, or what was the largest before.</summary>
    public static Float4 Largest(FloatFlashScores scores, float scale, Float4 before)
    {
        Float4 largest = Largest(Largest(scores._keys.A), Largest(scores._keys.B));
        return new()
        {
            X = IntrinsicMath.Max(before.X, FloatFlashLanes.Largest(largest.X) * scale),
            Y = IntrinsicMath.Max(before.Y, FloatFlashLanes.Largest(largest.Y) * scale),
            Z = IntrinsicMath.Max(before.Z, FloatFlashLanes.Largest(largest.Z) * scale),
            W = IntrinsicMath.Max(before.W, FloatFlashLanes.Largest(largest.W) * scale),
        };
    }

    /// <summary>2^(score * scale - offset).</summary>
    public static FloatFlashScores Weights(FloatFlashScores scores, float scale, Float4 offset) =>
        Of(Weights(scores._keys.A, scale, offset), Weights(scores._keys.B, scale, offset));

    /// <summary>sum + this lane's weights of each query.</summary>
    public static Float4 AddTo(Float4 sum, FloatFlashScores weights) => Add(sum, Add(Sum(weights._keys.A), Sum(weights._keys.B)));

    /// <summary>Writes them to shared memory, a row a query; <paramref name="address"/> is that of the lane's first query and key.</summary>
    public static void Put(FloatFlashScores weights, uint address, uint pitch)
    {
        const uint Stride = FloatFlashLanes.Keys * sizeof(float);
        Put(weights._keys.A, address, Stride, pitch);
        Put(weights._keys.B, address + 4 * Stride, Stride, pitch);
    }

    private static FloatFlashScores Of(Four<Float4> first, Four<Float4> second) => new() { _keys = new() { A = first, B = second } };

    private static Four<Float4> AddProducts(Four<Float4> scores, Four<Float4> queries, uint key, uint stride) => new()
    {
        A = AddProducts(scores.A, queries, PtxIntrinsics.LoadShared4(key)),
        B = AddProducts(scores.B, queries, PtxIntrinsics.LoadShared4(key + stride)),
        C = AddProducts(scores.C, queries, PtxIntrinsics.LoadShared4(key + 2 * stride)),
        D = AddProducts(scores.D, queries, PtxIntrinsics.LoadShared4(key + 3 * stride)),
    };

    private static Float4 AddProducts(Float4 scores, Four<Float4> queries, Float4 key) => new()
    {
        X = SimtRow.Dot(queries.A, key, scores.X),
        Y = SimtRow.Dot(queries.B, key, scores.Y),
        Z = SimtRow.Dot(queries.C, key, scores.Z),
        W = SimtRow.Dot(queries.D, key, scores.W),
    };

    private static Four<Float4> Mask(Four<Float4> scores, int distance, int window) => new()
    {
        A = Mask(scores.A, distance, window),
        B = Mask(scores.B, distance - FloatFlashLanes.Keys, window),
        C = Mask(scores.C, distance - 2 * FloatFlashLanes.Keys, window),
        D = Mask(scores.D, distance - 3 * FloatFlashLanes.Keys, window),
    };

    private static Float4 Mask(Float4 scores, int distance, int window) => new()
    {
        X = Visible(scores.X, distance, window),
        Y = Visible(scores.Y, distance + FloatFlashLanes.Queries, window),
        Z = Visible(scores.Z, distance + 2 * FloatFlashLanes.Queries, window),
        W = Visible(scores.W, distance + 3 * FloatFlashLanes.Queries, window),
    };

    private static float Visible(float score, int distance, int window) => (uint)distance < (uint)window ? score : float.NegativeInfinity;

    private static Float4 Largest(Four<Float4> scores) => Largest(Largest(scores.A, scores.B), Largest(scores.C, scores.D));

    private static Float4 Largest(Float4 a, Float4 b) => new()
    {
        X = IntrinsicMath.Max(a.X, b.X),
        Y = IntrinsicMath.Max(a.Y, b.Y),
        Z = IntrinsicMath.Max(a.Z, b.Z),
        W = IntrinsicMath.Max(a.W, b.W),
    };

    private static Four<Float4> Weights(Four<Float4> scores, float scale, Float4 offset) => new()
    {
        A = Weights(scores.A, scale, offset),
        B = Weights(scores.B, scale, offset),
        C = Weights(scores.C, scale, offset),
        D = Weights(scores.D, scale, offset),
    };

    private static Float4 Weights(Float4 scores, float scale, Float4 offset) => new()
    {
        X = PtxIntrinsics.Exp2(PtxIntrinsics.MultiplyAdd(scores.X, scale, -offset.X)),
        Y = PtxIntrinsics.Exp2(PtxIntrinsics.MultiplyAdd(scores.Y, scale, -offset.Y)),
        Z = PtxIntrinsics.Exp2(PtxIntrinsics.MultiplyAdd(scores.Z, scale, -offset.Z)),
        W = PtxIntrinsics.Exp2(PtxIntrinsics.MultiplyAdd(scores.W, scale, -offset.W)),
    };

    private static Float4 Sum(Four<Float4> weights) => Add(Add(weights.A, weights.B), Add(weights.C, weights.D));

    private static Float4 Add(Float4 a, Float4 b) => new() { X = a.X + b.X, Y = a.Y + b.Y, Z = a.Z + b.Z, W = a.W + b.W };

    private static void Put(Four<Float4> weights, uint address, uint stride, uint pitch)
    {
        Put(weights.A, address, pitch);
        Put(weights.B, address + stride, pitch);
        Put(weights.C, address + 2 * stride, pitch);
        Put(weights.D, address + 3 * stride, pitch);
    }

    private static void Put(Float4 weights, uint address, uint pitch)
    {
        uint stride = FloatFlashLanes.Queries * pitch;
        PtxIntrinsics.StoreShared1(address, weights.X);
        PtxIntrinsics.StoreShared1(address + stride, weights.Y);
        PtxIntrinsics.StoreShared1(address + 2 * stride, weights.Z);
        PtxIntrinsics.StoreShared1(address + 3 * stride, weights.W);
    }
}
