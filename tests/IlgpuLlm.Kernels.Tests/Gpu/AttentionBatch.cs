using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>A sequence's part of a batch.</summary>
/// <param name="Rows">Rotated but for what a kernel is to rotate: [at least Prefix + Count, qkvWidth].</param>
/// <param name="Prefix">Tokens whose keys and values are in the cache; -1 for a row that only fills up a graph's batch.</param>
/// <param name="Count">Tokens of this step.</param>
internal sealed record AttentionChunk(float[] Rows, int Prefix, int Count)
{
    public int End => Prefix + Count;
}

/// <summary>The launch of a kernel that attends from rows that are rotated already to a cache that has all keys.</summary>
internal delegate void FlashLaunch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output);

/// <summary>The launch of a kernel that rotates and writes to the cache as well.</summary>
internal delegate void DecodeLaunch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output);

/// <summary>
/// One batch for the fast attention kernels: blocks scattered over a cache in which everything is NaN that a kernel has no business to read.
/// </summary>
internal sealed class AttentionBatch : IDisposable
{
    private readonly GpuBackend _backend;
    private readonly AttentionShape _shape;
    private readonly AttentionChunk[] _chunks;
    private readonly ElementType _type;
    private readonly int _blockSize, _maxBlocks;
    private readonly int[][] _blocks; // by sequence
    private readonly DeviceBuffer _qkv, _keys, _values, _output;
    private readonly DeviceBuffer? _keyScales, _valueScales;
    private readonly TestCache? _widened;
    private readonly BatchMetadata _batch;

    /// <param name="backend">The backend.</param>
    /// <param name="type">The type of everything: F16 or F32.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="blockSize">Tokens in a block.</param>
    /// <param name="chunks">The batch.</param>
    /// <param name="newKeysInCache">Whether the chunks' own keys and values are in the cache already.</param>
    /// <param name="cache">The type of the cache; null: the type of everything.</param>
    public AttentionBatch(
        GpuBackend backend, ElementType type, AttentionShape shape, int blockSize, AttentionChunk[] chunks, bool newKeysInCache, ElementType? cache = null)
    {
        (_backend, _type, _shape, _blockSize, _chunks) = (backend, type, shape, blockSize, chunks);
        int numTokens = chunks.Sum(c => c.Count);
        int[] needed = [.. chunks.Select(c => (Math.Max(c.End, 0) + blockSize - 1) / blockSize)];
        _maxBlocks = needed.Max() + 1;
        int[] order = [.. Enumerable.Range(0, needed.Sum() + 2)]; // two that nobody owns
        new Random(11).Shuffle(order);
        _blocks = new int[chunks.Length][];
        int numUsed = 0;
        for (int s = 0; s < chunks.Length; s++)
        {
            _blocks[s] = order[numUsed..(numUsed + needed[s])];
            numUsed += needed[s];
        }

        var keys = new float[order.Length * blockSize * shape.KvWidth];
        keys.AsSpan().Fill(float.NaN);
        float[] values = [.. keys], qkv = new float[numTokens * shape.QkvWidth];
        qkv.AsSpan().Fill(float.NaN);
        int row = 0;
        for (int s = 0; s < chunks.Length; s++)
        {
            AttentionChunk chunk = chunks[s];
            for (int p = 0; p < (newKeysInCache ? chunk.End : chunk.Prefix); p++)
            {
                for (int h = 0; h < shape.NumKvHeads; h++)
                {
                    int from = p * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim, to = CacheRow(s, p, h);
                    chunk.Rows.AsSpan(from, shape.HeadDim).CopyTo(keys.AsSpan(to));
                    chunk.Rows.AsSpan(from + shape.KvWidth, shape.HeadDim).CopyTo(values.AsSpan(to));
                }
            }
            if (chunk.Prefix >= 0)
                chunk.Rows.AsSpan(chunk.Prefix * shape.QkvWidth, chunk.Count * shape.QkvWidth).CopyTo(qkv.AsSpan(row * shape.QkvWidth));
            row += chunk.Count;
        }
        if (cache == ElementType.U8)
        {
            _widened = new TestCache(backend, ElementType.F16, shape, order.Length, blockSize);
            (_keys, _keyScales) = UploadCodes(keys);
            (_values, _valueScales) = UploadCodes(values);
            Cache = new(_keys, _values, new KvCacheScales(_keyScales, _valueScales), order.Length, blockSize, _widened.Layer);
        }
        else
        {
            _keys = backend.Upload(cache ?? type, keys);
            _values = backend.Upload(cache ?? type, values);
            Cache = new(_keys, _values, order.Length, blockSize);
        }
        _qkv = backend.Upload(type, qkv);
        _output = backend.Allocate(type, numTokens * shape.QueryWidth);
        _batch = AttentionRun.CreateBatch(backend, numTokens, chunks.Length, _maxBlocks);
        FillMetadata(numTokens);
    }

    private KvCacheLayer Cache { get; }

    /// <summary>Heads with the usual scale.</summary>
    public static AttentionShape Shape(int numHeads, int numKvHeads, int headDim, int window) => new(numHeads, numKvHeads, headDim, window, 1 / MathF.Sqrt(headDim));

    /// <summary>Rows whose keys and values are what a cache holds of those of <paramref name="rows"/>.</summary>
    public static float[] RoundToCache(ElementType cache, AttentionShape shape, float[] rows)
    {
        float[] rounded = [.. rows];
        for (int row = 0; row < rows.Length; row += shape.QkvWidth)
        {
            for (int at = row + shape.QueryWidth; at < row + shape.QkvWidth; at += shape.HeadDim)
                RoundToCache(cache, rounded.AsSpan(at, shape.HeadDim));
        }
        return rounded;
    }

    /// <summary>What a cache holds of a head.</summary>
    public static void RoundToCache(ElementType cache, Span<float> head)
    {
        if (cache != ElementType.U8)
        {
            TestTensors.RoundTo(cache, head.ToArray()).CopyTo(head);
            return;
        }
        var codes = new byte[head.Length];
        float scale = KvCodes.Quantize(head, codes);
        for (int i = 0; i < head.Length; i++)
            head[i] = (codes[i] - KvCodes.Zero) * scale;
    }

    /// <summary>Random values that the type holds: [length, qkvWidth].</summary>
    public static float[] Rows(ElementType type, AttentionShape shape, int seed, int length) =>
        TestTensors.RoundTo(type, TestTensors.Random(seed, length * shape.QkvWidth, 2));

    /// <summary>The reference on rows that are rotated already: [numTokens, queryWidth].</summary>
    public static double[] Reference(AttentionShape shape, AttentionChunk[] chunks)
    {
        var outputs = new double[chunks.Length][];
        Parallel.For(0, chunks.Length, s =>
        {
            AttentionChunk chunk = chunks[s];
            outputs[s] = chunk.Prefix < 0
                ? new double[chunk.Count * shape.QueryWidth]
                : ReferenceKernels.Attention(shape, TestTensors.Exact(chunk.Rows.AsSpan(0, chunk.End * shape.QkvWidth)), chunk.Prefix);
        });
        return [.. outputs.SelectMany(o => o)];
    }

    /// <summary>Runs FlashAttention on rows that are rotated already: [numTokens, queryWidth].</summary>
    public float[] Run(FlashLaunch launch)
    {
        Poison();
        launch(_shape, (GpuBuffer)_qkv, Cache, _batch, (GpuBuffer)_output);
        return _backend.Download(_output);
    }

    /// <summary>Runs decode attention, whose workspace was reserved: [numTokens, queryWidth].</summary>
    public float[] Run(DecodeLaunch launch, RotaryTable table)
    {
        Poison();
        launch(_shape, (GpuBuffer)_qkv, table, Cache, _batch, (GpuBuffer)_output);
        return _backend.Download(_output);
    }

    /// <summary>All of the cache as it is now.</summary>
    public (float[] Keys, float[] Values) Cached() =>
        _keyScales is null ? (_backend.Download(_keys), _backend.Download(_values)) : (DownloadCodes(_keys, _keyScales), DownloadCodes(_values, _valueScales!));

    /// <summary>Where the key and the value of a position are in the cache.</summary>
    public int CacheRow(int sequence, int position, int kvHead) =>
        ((_blocks[sequence][position / _blockSize] * _shape.NumKvHeads + kvHead) * _blockSize + position % _blockSize) * _shape.HeadDim;

    public void Dispose()
    {
        foreach (DeviceBuffer buffer in new[] { _qkv, _keys, _values, _output })
            buffer.Dispose();
        _keyScales?.Dispose();
        _valueScales?.Dispose();
        _widened?.Dispose();
        AttentionRun.DisposeBatch(_batch);
    }

    private (DeviceBuffer Codes, DeviceBuffer Scales) UploadCodes(float[] values)
    {
        var codes = new byte[values.Length];
        var scales = new float[values.Length / _shape.HeadDim];
        for (int row = 0; row < scales.Length; row++)
            scales[row] = KvCodes.Quantize(values.AsSpan(row * _shape.HeadDim, _shape.HeadDim), codes.AsSpan(row * _shape.HeadDim, _shape.HeadDim));
        DeviceBuffer buffer = _backend.Allocate(ElementType.U8, codes.Length);
        _backend.Upload(codes, buffer);
        return (buffer, _backend.Upload(scales));
    }

    private float[] DownloadCodes(DeviceBuffer codes, DeviceBuffer scales)
    {
        float[] ofRows = _backend.Download(scales);
        return [.. _backend.DownloadBytes(codes).Select((code, i) => (code - KvCodes.Zero) * ofRows[i / _shape.HeadDim])];
    }

    private void FillMetadata(int numTokens)
    {
        List<int> positions = [], slots = [], sequences = [], starts = [0], lens = [], tables = [];
        for (int s = 0; s < _chunks.Length; s++)
        {
            for (int i = 0; i < _chunks[s].Count; i++)
            {
                int position = _chunks[s].Prefix < 0 ? -1 : _chunks[s].Prefix + i;
                positions.Add(position);
                slots.Add(position < 0 ? -1 : _blocks[s][position / _blockSize] * _blockSize + position % _blockSize);
                sequences.Add(s);
            }
            starts.Add(positions.Count);
            lens.Add(Math.Max(_chunks[s].End, 0));
            // Blocks that the sequence has not reached yet must not be read: their ids are invalid.
            tables.AddRange(Enumerable.Range(0, _maxBlocks).Select(b => b < _blocks[s].Length ? _blocks[s][b] : int.MinValue));
        }
        _backend.Upload(positions.ToArray(), _batch.Positions);
        _backend.Upload(positions.Select(p => Math.Max(p, 0)).ToArray(), _batch.RotaryRows);
        _backend.Upload(slots.ToArray(), _batch.SlotMapping);
        _backend.Upload(sequences.ToArray(), _batch.TokenSequences);
        _backend.Upload(starts.ToArray(), _batch.QueryStartLoc);
        _backend.Upload(lens.ToArray(), _batch.SeqLens);
        _backend.Upload(tables.ToArray(), _batch.BlockTables);
        _batch.NumTokens = numTokens;
        _batch.NumSeqs = _chunks.Length;
        _batch.MaxQueryLen = _chunks.Max(c => c.Count);
        _batch.MaxSeqLen = lens.Max();
    }

    private void Poison()
    {
        var nans = new float[_output.Length];
        nans.AsSpan().Fill(float.NaN);
        _backend.UploadAs(nans, _output);
    }
}
