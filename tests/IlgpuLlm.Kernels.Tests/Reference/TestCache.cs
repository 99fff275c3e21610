namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>One layer's cache in which everything is NaN, but for halves of a type that a test does not fill.</summary>
internal sealed class TestCache : IDisposable
{
    private readonly Backend _backend;
    private readonly DeviceBuffer _keys, _values;
    private readonly DeviceBuffer? _keyScales, _valueScales;
    private (byte[] Codes, float[] Scales)[]? _read;

    /// <param name="backend">The backend.</param>
    /// <param name="type">F32, F16 or U8.</param>
    /// <param name="shape">The heads.</param>
    /// <param name="numBlocks">Blocks.</param>
    /// <param name="blockSize">Tokens in a block.</param>
    /// <param name="widened">Where codes are put as halves.</param>
    public TestCache(Backend backend, ElementType type, AttentionShape shape, int numBlocks, int blockSize, KvCacheLayer? widened = null)
    {
        _backend = backend;
        long numRows = (long)numBlocks * blockSize * shape.NumKvHeads;
        _keys = backend.Allocate(type, numRows * shape.HeadDim);
        _values = backend.Allocate(type, numRows * shape.HeadDim);
        float[] nans = [.. Enumerable.Repeat(float.NaN, (int)(type == ElementType.U8 ? numRows : numRows * shape.HeadDim))];
        if (type != ElementType.U8)
        {
            backend.UploadAs(nans, _keys);
            backend.UploadAs(nans, _values);
            Layer = new(_keys, _values, numBlocks, blockSize);
            return;
        }
        _keyScales = backend.Upload(nans);
        _valueScales = backend.Upload(nans);
        Layer = new(_keys, _values, new KvCacheScales(_keyScales, _valueScales), numBlocks, blockSize, widened);
    }

    public KvCacheLayer Layer { get; }

    /// <summary>What a row of codes stands for. All of the cache is read at the first call.</summary>
    public (double[] Key, double[] Value) ReadCodes(int row, int headDim)
    {
        _read ??= [(_backend.DownloadBytes(_keys), _backend.Download(_keyScales!)), (_backend.DownloadBytes(_values), _backend.Download(_valueScales!))];
        double[] Read((byte[] Codes, float[] Scales) of) => [.. of.Codes.AsSpan(row * headDim, headDim).ToArray().Select(code => (code - 128) * (double)of.Scales[row])];
        return (Read(_read[0]), Read(_read[1]));
    }

    public void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
        _keyScales?.Dispose();
        _valueScales?.Dispose();
    }
}
