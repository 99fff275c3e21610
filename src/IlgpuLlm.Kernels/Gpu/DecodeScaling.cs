using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// What scales of keys and values mean to decoding: a key's multiplies its scores, a value's its weights. A lane holds the scale of key lane % 16 of a step.
/// </summary>
internal interface IDecodeScaling
{
    /// <summary>Whether there are scales.</summary>
    static abstract bool HasScales { get; }

    /// <summary>What is to be known of a row in the cache: its first chunk of eight elements, or where rows have scales its number.</summary>
    static abstract uint FindRow(HeadLayout layout, int block, int offset, int kvHead);

    /// <summary>Such a row's first chunk; <see cref="DecodeRows.None"/> stays.</summary>
    static abstract uint FirstChunk(uint row, int numChunks);

    /// <summary>Requests a row's scale; 0 where there is no row.</summary>
    static abstract float Load(long scales, uint row);

    /// <summary>Makes the newest key and value, halves in shared memory, what the cache holds, there and in the cache. All lanes, after a barrier; ends with one.</summary>
    static abstract void Finish(
        DecodeArguments<ushort> arguments, DecodeScales scales, HeadLayout layout, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int scaleAt, int slot,
        bool hasNewest);

    /// <summary>The newest one's scale, float <paramref name="at"/> of its place in shared memory, where a lane's key is that.</summary>
    static abstract float Replace(float scale, ArrayView<UInt4> newest, int at, bool isNewest);

    /// <summary>Scores, A of keys 2t and 2t + 1, B of keys 2t + 8 and 2t + 9, times the keys' scales.</summary>
    static abstract Two<Float4> ScaleScores(Two<Float4> scores, float scale);

    /// <summary>Weights, likewise, times the values' scales and a factor.</summary>
    static abstract Two<Float4> ScaleWeights(Two<Float4> weights, float scale);

    /// <summary>A sum of weights times that factor.</summary>
    static abstract float ScaleSum(float sum);
}

/// <summary>A cache of halves.</summary>
internal readonly struct DecodeUnscaled : IDecodeScaling
{
    public static bool HasScales => false;

    public static uint FindRow(HeadLayout layout, int block, int offset, int kvHead) => layout.CacheChunk(block, offset, kvHead);

    public static uint FirstChunk(uint row, int numChunks) => row;

    public static float Load(long scales, uint row) => 0f;

    public static void Finish(
        DecodeArguments<ushort> arguments, DecodeScales scales, HeadLayout layout, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int scaleAt, int slot,
        bool hasNewest)
    {
    }

    public static float Replace(float scale, ArrayView<UInt4> newest, int at, bool isNewest) => scale;

    public static Two<Float4> ScaleScores(Two<Float4> scores, float scale) => scores;

    public static Two<Float4> ScaleWeights(Two<Float4> weights, float scale) => weights;

    public static float ScaleSum(float sum) => sum;
}

/// <summary>
/// A cache of codes. Weights are scaled by 64 times a value's scale, half of its largest element: so the halves which hold weights keep about what halves would
/// keep of the values, large or small.
/// </summary>
internal readonly struct DecodeScaled : IDecodeScaling
{
    private const float WeightUnit = 64f;

    public static bool HasScales => true;

    public static uint FindRow(HeadLayout layout, int block, int offset, int kvHead) => layout.RowNumber(block, offset, kvHead);

    public static uint FirstChunk(uint row, int numChunks) => row != DecodeRows.None ? row * (uint)numChunks : row;

    public static float Load(long scales, uint row) => PtxIntrinsics.LoadFloatAheadOrZero(scales + (long)row * sizeof(float), row != DecodeRows.None ? 1 : 0);

    public static void Finish(
        DecodeArguments<ushort> arguments, DecodeScales scales, HeadLayout layout, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int scaleAt, int slot,
        bool hasNewest)
    {
        if (!hasNewest)
            return;
        DecodeInput.Quantize(arguments, scales, layout, newKey, newValue, scaleAt, slot);
        Group.Barrier();
    }

    public static float Replace(float scale, ArrayView<UInt4> newest, int at, bool isNewest) => isNewest ? newest.Cast<float>()[at] : scale;

    public static Two<Float4> ScaleScores(Two<Float4> scores, float scale) => Multiply(scores, scale);

    public static Two<Float4> ScaleWeights(Two<Float4> weights, float scale) => Multiply(weights, scale * WeightUnit);

    public static float ScaleSum(float sum) => sum * WeightUnit;

    private static Two<Float4> Multiply(Two<Float4> values, float scale)
    {
        int key = 2 * (Group.IdxX & 3);
        return new()
        {
            A = Multiply(values.A, Warp.Shuffle(scale, key), Warp.Shuffle(scale, key + 1)),
            B = Multiply(values.B, Warp.Shuffle(scale, key + 8), Warp.Shuffle(scale, key + 9)),
        };
    }

    /// <summary>Two keys of two heads.</summary>
    private static Float4 Multiply(Float4 values, float first, float second) =>
        new() { X = values.X * first, Y = values.Y * second, Z = values.Z * first, W = values.W * second };
}
