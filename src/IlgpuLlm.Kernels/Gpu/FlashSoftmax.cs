using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// The online softmax of a warp's 32 queries. Maxima are kept after scaling by scale * log2(e): a row whose maximum stays is then multiplied with exactly
/// 1, and a tile in which it sees nothing changes no bit of it.
/// </summary>
internal static class FlashSoftmax
{
    /// <summary>The larger of <paramref name="largest"/> and the rows' largest scores, over the four lanes of a row, scaled.</summary>
    public static Float4 Largest(Float4 scores, float scale, Float4 largest) => new()
    {
        X = IntrinsicMath.Max(largest.X, QuadMax(scores.X) * scale),
        Y = IntrinsicMath.Max(largest.Y, QuadMax(scores.Y) * scale),
        Z = IntrinsicMath.Max(largest.Z, QuadMax(scores.Z) * scale),
        W = IntrinsicMath.Max(largest.W, QuadMax(scores.W) * scale),
    };

    /// <summary>What a row's scaled scores are lowered by: its largest, or 0 where it has seen nothing yet.</summary>
    public static Float4 Offset(Float4 largest) => new() { X = Offset(largest.X), Y = Offset(largest.Y), Z = Offset(largest.Z), W = Offset(largest.W) };

    /// <summary>2^(before - offset).</summary>
    public static Float4 Factors(Float4 before, Float4 offset) => new()
    {
        X = PtxIntrinsics.Exp2(before.X - offset.X),
        Y = PtxIntrinsics.Exp2(before.Y - offset.Y),
        Z = PtxIntrinsics.Exp2(before.Z - offset.Z),
        W = PtxIntrinsics.Exp2(before.W - offset.W),
    };

    /// <summary>2^(score * scale - offset).</summary>
    public static FlashBlock Weights(FlashBlock scores, float scale, Float4 offset) => new()
    {
        TopLeft = Weights(scores.TopLeft, scale, offset.X, offset.Y),
        TopRight = Weights(scores.TopRight, scale, offset.X, offset.Y),
        BottomLeft = Weights(scores.BottomLeft, scale, offset.Z, offset.W),
        BottomRight = Weights(scores.BottomRight, scale, offset.Z, offset.W),
    };

    /// <summary>sum + this lane's weights of each row.</summary>
    public static Float4 Add(Float4 sum, FlashBlock weights) => new()
    {
        X = sum.X + (weights.TopLeft.X + weights.TopLeft.Y + (weights.TopRight.X + weights.TopRight.Y)),
        Y = sum.Y + (weights.TopLeft.Z + weights.TopLeft.W + (weights.TopRight.Z + weights.TopRight.W)),
        Z = sum.Z + (weights.BottomLeft.X + weights.BottomLeft.Y + (weights.BottomRight.X + weights.BottomRight.Y)),
        W = sum.W + (weights.BottomLeft.Z + weights.BottomLeft.W + (weights.BottomRight.Z + weights.BottomRight.W)),
    };

    /// <summary>a * b.</summary>
    public static Float4 Multiply(Float4 a, Float4 b) => new() { X = a.X * b.X, Y = a.Y * b.Y, Z = a.Z * b.Z, W = a.W * b.W };

    /// <summary>1 / the rows' sums, over the four lanes of a row.</summary>
    public static Float4 Inverse(Float4 sum) =>
        new() { X = 1f / QuadSum(sum.X), Y = 1f / QuadSum(sum.Y), Z = 1f / QuadSum(sum.Z), W = 1f / QuadSum(sum.W) };

    /// <summary>The weights of 16 rows and 16 keys as the rows of a further product.</summary>
    public static UInt4 Rows(Float4 left, Float4 right) => new()
    {
        X = PtxIntrinsics.PackHalves(left.X, left.Y),
        Y = PtxIntrinsics.PackHalves(left.Z, left.W),
        Z = PtxIntrinsics.PackHalves(right.X, right.Y),
        W = PtxIntrinsics.PackHalves(right.Z, right.W),
    };

    /// <summary>
    /// Negative infinity where a key is not visible. <paramref name="distance"/>: from the first key of this lane to its first row's position; a key is
    /// visible at distances 0..window - 1.
    /// </summary>
    public static FlashBlock Mask(FlashBlock scores, int distance, int window) => new()
    {
        TopLeft = Mask(scores.TopLeft, distance, window),
        TopRight = Mask(scores.TopRight, distance - 8, window),
        BottomLeft = Mask(scores.BottomLeft, distance + 16, window),
        BottomRight = Mask(scores.BottomRight, distance + 8, window),
    };

    /// <summary>The larger of <paramref name="largest"/> and this lane's largest score of each row.</summary>
    public static Float4 Largest(FlashBlock scores, Float4 largest) => new()
    {
        X = Largest(largest.X, scores.TopLeft.X, scores.TopLeft.Y, scores.TopRight.X, scores.TopRight.Y),
        Y = Largest(largest.Y, scores.TopLeft.Z, scores.TopLeft.W, scores.TopRight.Z, scores.TopRight.W),
        Z = Largest(largest.Z, scores.BottomLeft.X, scores.BottomLeft.Y, scores.BottomRight.X, scores.BottomRight.Y),
        W = Largest(largest.W, scores.BottomLeft.Z, scores.BottomLeft.W, scores.BottomRight.Z, scores.BottomRight.W),
    };

    private static Float4 Mask(Float4 scores, int distance, int window) => new()
    {
        X = Visible(scores.X, distance, window),
        Y = Visible(scores.Y, distance - 1, window),
        Z = Visible(scores.Z, distance + 8, window),
        W = Visible(scores.W, distance + 7, window),
    };

    private static float Visible(float score, int distance, int window) => (uint)distance < (uint)window ? score : float.NegativeInfinity;

    private static float Largest(float largest, float a, float b, float c, float d) =>
        IntrinsicMath.Max(largest, IntrinsicMath.Max(IntrinsicMath.Max(a, b), IntrinsicMath.Max(c, d)));

    private static Float4 Weights(Float4 scores, float scale, float first, float second) => new()
    {
        X = PtxIntrinsics.Exp2(scores.X * scale - first),
        Y = PtxIntrinsics.Exp2(scores.Y * scale - first),
        Z = PtxIntrinsics.Exp2(scores.Z * scale - second),
        W = PtxIntrinsics.Exp2(scores.W * scale - second),
    };

    /// <summary>The same value for all rows.</summary>
    public static Float4 Same(float value) => new() { X = value, Y = value, Z = value, W = value };

    private static float Offset(float largest) => largest == float.NegativeInfinity ? 0f : largest;

    private static float QuadMax(float value)
    {
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 1));
        return IntrinsicMath.Max(value, Warp.ShuffleXor(value, 2));
    }

    private static float QuadSum(float value)
    {
        value += Warp.ShuffleXor(value, 1);
        return value + Warp.ShuffleXor(value, 2);
    }
}
