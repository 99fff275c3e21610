using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What a warp knows of its 32 queries so far.</summary>
internal struct FlashState<THead>
    where THead : unmanaged, IFlashHead<THead>
{
    public Float4 Sum; // of this lane's weights; X for rows l / 4, Y for 8 more, Z for 16 more, W for 24 more
    public THead Output;

    /// <summary>
    /// Adds some keys, from <paramref name="firstKey"/> on and <paramref name="offset"/> bytes behind the first stage's. The largest scores, times
    /// <paramref name="scale"/>, and the sums of weights stay in shared memory: while scores are made, there is no register for them.
    /// </summary>
    public static THead Add<TScores>(
        THead output, ArrayView<Float4> rows, int maximaAt, int sumsAt, ArrayView<FlashLane> lanes, uint offset, uint pitch, float scale, int firstKey,
        int window, bool isMasked)
        where TScores : unmanaged, IFlashScores<TScores>
    {
        TScores scores = THead.AddScores<TScores>(default, lanes[Group.IdxX].Query, lanes[Group.IdxX].Key + offset, pitch);
        PtxIntrinsics.SyncWarp();
        if (isMasked)
            scores = TScores.Mask(scores, lanes[Group.IdxX].Distance - firstKey, window);
        Float4 before = rows[maximaAt + Group.IdxX];
        Float4 largest = FlashSoftmax.Largest(TScores.Largest(scores, FlashSoftmax.Same(float.NegativeInfinity)), scale, before);
        rows[maximaAt + Group.IdxX] = largest;
        Float4 lowered = FlashSoftmax.Offset(largest);
        Float4 factors = FlashSoftmax.Factors(before, lowered);
        FlashState<THead> state = new()
        {
            Sum = FlashSoftmax.Multiply(rows[sumsAt + Group.IdxX], factors),
            Output = THead.Scale(output, factors),
        };
        state = TScores.AddValues(state, scores, scale, lowered, lanes[Group.IdxX].Value + offset, pitch);
        rows[sumsAt + Group.IdxX] = state.Sum;
        return state.Output;
    }

    /// <summary>The weighted values divided by the weights' sums.</summary>
    public static THead Result(THead output, Float4 sums) => THead.Scale(output, FlashSoftmax.Inverse(sums));
}

/// <summary>Scores of a warp's 32 queries and some keys.</summary>
internal interface IFlashScores<TSelf>
    where TSelf : unmanaged, IFlashScores<TSelf>
{
    /// <summary>Keys.</summary>
    static abstract int Keys { get; }

    /// <summary>scores + queries . keys over 16 elements; the key's address is this lane's for the first matrices.</summary>
    static abstract TSelf AddProducts(TSelf scores, UInt4 top, UInt4 bottom, uint key, uint pitch);

    /// <summary>Negative infinity where a key is not visible.</summary>
    static abstract TSelf Mask(TSelf scores, int distance, int window);

    /// <summary>The larger of <paramref name="largest"/> and this lane's largest score of each row.</summary>
    static abstract Float4 Largest(TSelf scores, Float4 largest);

    /// <summary>Adds 2^(score * scale - offset) to the sums, and the keys' values times that to the output.</summary>
    static abstract FlashState<THead> AddValues<THead>(FlashState<THead> state, TSelf scores, float scale, Float4 offset, uint value, uint pitch)
        where THead : unmanaged, IFlashHead<THead>;
}

/// <summary>Scores of 16 keys.</summary>
internal struct FlashKeys16 : IFlashScores<FlashKeys16>
{
    private FlashBlock _scores;

    public static int Keys => 16;

    public static FlashKeys16 AddProducts(FlashKeys16 scores, UInt4 top, UInt4 bottom, uint key, uint pitch) =>
        new() { _scores = FlashBlock.Multiply(scores._scores, top, bottom, PtxIntrinsics.LoadMatrices4(key)) };

    public static FlashKeys16 Mask(FlashKeys16 scores, int distance, int window) =>
        new() { _scores = FlashSoftmax.Mask(scores._scores, distance, window) };

    public static Float4 Largest(FlashKeys16 scores, Float4 largest) => FlashSoftmax.Largest(scores._scores, largest);

    public static FlashState<THead> AddValues<THead>(FlashState<THead> state, FlashKeys16 scores, float scale, Float4 offset, uint value, uint pitch)
        where THead : unmanaged, IFlashHead<THead>
    {
        FlashBlock weights = FlashSoftmax.Weights(scores._scores, scale, offset);
        return new()
        {
            Sum = FlashSoftmax.Add(state.Sum, weights),
            Output = THead.AddValues(
                state.Output, FlashSoftmax.Rows(weights.TopLeft, weights.TopRight), FlashSoftmax.Rows(weights.BottomLeft, weights.BottomRight), value),
        };
    }
}

/// <summary>Scores of twice as many keys as <typeparamref name="T"/>.</summary>
internal struct FlashKeysPair<T> : IFlashScores<FlashKeysPair<T>>
    where T : unmanaged, IFlashScores<T>
{
    private T _first, _second;

    public static int Keys => 2 * T.Keys;

    public static FlashKeysPair<T> AddProducts(FlashKeysPair<T> scores, UInt4 top, UInt4 bottom, uint key, uint pitch) => new()
    {
        _first = T.AddProducts(scores._first, top, bottom, key, pitch),
        _second = T.AddProducts(scores._second, top, bottom, key + (uint)T.Keys * pitch, pitch),
    };

    public static FlashKeysPair<T> Mask(FlashKeysPair<T> scores, int distance, int window) =>
        new() { _first = T.Mask(scores._first, distance, window), _second = T.Mask(scores._second, distance - T.Keys, window) };

    public static Float4 Largest(FlashKeysPair<T> scores, Float4 largest) => T.Largest(scores._second, T.Largest(scores._first, largest));

    // A part's exponentials overlap with the products of the part before.
    public static FlashState<THead> AddValues<THead>(
        FlashState<THead> state, FlashKeysPair<T> scores, float scale, Float4 offset, uint value, uint pitch)
        where THead : unmanaged, IFlashHead<THead> =>
        T.AddValues(T.AddValues(state, scores._first, scale, offset, value, pitch), scores._second, scale, offset, value + (uint)T.Keys * pitch, pitch);
}
