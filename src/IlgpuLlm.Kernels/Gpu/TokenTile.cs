using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// The sums of one output feature for a few tokens, so that a chunk of weights is read once for all of them. Built from pairs of pairs and passed by
/// value: all of it stays in registers, with no unrolled text. A token's sum sees the same additions in a tile of any size.
/// </summary>
internal interface ITokenTile<TSelf>
    where TSelf : unmanaged, ITokenTile<TSelf>
{
    /// <summary>Tokens in the tile.</summary>
    static abstract int Tokens { get; }

    /// <summary>A tile of tokens from <paramref name="token"/> on; those beyond <paramref name="lastToken"/> repeat it.</summary>
    static abstract TSelf Create(int token, int lastToken, int rowLength);

    /// <summary>Adds chunk . x[token, k...] to each sum.</summary>
    static abstract TSelf Add<TFormat, TStorage, TRaw, TChunk>(TSelf tile, TChunk chunk, ArrayView<float> x, long k)
        where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
        where TStorage : unmanaged
        where TRaw : unmanaged
        where TChunk : unmanaged;

    /// <summary>Adds weight * x[token, k] to each sum.</summary>
    static abstract TSelf AddOne(TSelf tile, float weight, ArrayView<float> x, long k);

    /// <summary>Adds the sums of all lanes of a warp.</summary>
    static abstract TSelf Reduce(TSelf tile);

    /// <summary>Writes sum + bias to output[token * stride + column], or adds it there, for each token that is in the batch.</summary>
    static abstract void Store(TSelf tile, ArrayView<float> output, int token, int lastToken, int stride, int column, float bias, int accumulate);
}

/// <summary>One token.</summary>
internal struct OneToken : ITokenTile<OneToken>
{
    private long _row;
    private float _sum;

    public static int Tokens => 1;

    public static OneToken Create(int token, int lastToken, int rowLength) =>
        new() { _row = (long)IntrinsicMath.Min(token, lastToken) * rowLength };

    public static OneToken Add<TFormat, TStorage, TRaw, TChunk>(OneToken tile, TChunk chunk, ArrayView<float> x, long k)
        where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
        where TStorage : unmanaged
        where TRaw : unmanaged
        where TChunk : unmanaged =>
        new() { _row = tile._row, _sum = TFormat.Dot(chunk, x, tile._row + k, tile._sum) };

    public static OneToken AddOne(OneToken tile, float weight, ArrayView<float> x, long k) =>
        new() { _row = tile._row, _sum = tile._sum + weight * x[tile._row + k] };

    public static OneToken Reduce(OneToken tile) => new() { _row = tile._row, _sum = GroupOps.WarpSum(tile._sum) };

    public static void Store(OneToken tile, ArrayView<float> output, int token, int lastToken, int stride, int column, float bias, int accumulate)
    {
        if (token <= lastToken)
        {
            long at = (long)token * stride + column;
            output[at] = accumulate != 0 ? output[at] + (tile._sum + bias) : tile._sum + bias;
        }
    }
}

/// <summary>Twice as many tokens as <typeparamref name="T"/>.</summary>
internal struct PairOf<T> : ITokenTile<PairOf<T>>
    where T : unmanaged, ITokenTile<T>
{
    private T _first, _second;

    public static int Tokens => 2 * T.Tokens;

    public static PairOf<T> Create(int token, int lastToken, int rowLength) => new()
    {
        _first = T.Create(token, lastToken, rowLength),
        _second = T.Create(token + T.Tokens, lastToken, rowLength),
    };

    public static PairOf<T> Add<TFormat, TStorage, TRaw, TChunk>(PairOf<T> tile, TChunk chunk, ArrayView<float> x, long k)
        where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
        where TStorage : unmanaged
        where TRaw : unmanaged
        where TChunk : unmanaged => new()
        {
            _first = T.Add<TFormat, TStorage, TRaw, TChunk>(tile._first, chunk, x, k),
            _second = T.Add<TFormat, TStorage, TRaw, TChunk>(tile._second, chunk, x, k),
        };

    public static PairOf<T> AddOne(PairOf<T> tile, float weight, ArrayView<float> x, long k) =>
        new() { _first = T.AddOne(tile._first, weight, x, k), _second = T.AddOne(tile._second, weight, x, k) };

    public static PairOf<T> Reduce(PairOf<T> tile) => new() { _first = T.Reduce(tile._first), _second = T.Reduce(tile._second) };

    public static void Store(PairOf<T> tile, ArrayView<float> output, int token, int lastToken, int stride, int column, float bias, int accumulate)
    {
        T.Store(tile._first, output, token, lastToken, stride, column, bias, accumulate);
        T.Store(tile._second, output, token + T.Tokens, lastToken, stride, column, bias, accumulate);
    }
}
