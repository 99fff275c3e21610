using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>A sequence's part of a batch.</summary>
/// <param name="Rows">Halves: [at least Prefix + Count, qkvWidth].</param>
/// <param name="Prefix">Tokens whose keys and values are in the cache; -1 for a row that only fills up a graph's batch.</param>
/// <param name="Count">Tokens of this step.</param>
internal sealed record HalfAttentionChunk(float[] Rows, int Prefix, int Count)
{
    public int End => Prefix + Count;
}

/// <summary>The launch of a kernel that attends from rows that are rotated already to a cache that has all keys.</summary>
internal delegate void FlashLaunch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output);

/// <summary>
/// One batch for the F16 attention kernels: blocks scattered over a cache in which everything is NaN that a kernel has no business to read.
/// </summary>
internal sealed class HalfAttentionBatch : IDisposable
{
    private const ushort NaN = 0x7E00;

    private readonly AttentionShape _shape;
    private readonly HalfAttentionChunk[] _chunks;
    private readonly int _blockSize, _maxBlocks;
    private readonly int[] _blocks;
    private readonly GpuDevice _device;
    private readonly GpuBuffer _qkv, _keys, _values, _output;
    private readonly BatchMetadata _batch;

    /// <param name="backend">The backend.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="blockSize">Tokens in a block.</param>
    /// <param name="chunks">The batch.</param>
    /// <param name="newKeysInCache">Whether the chunks' own keys and values are in the cache already.</param>
    public HalfAttentionBatch(GpuBackend backend, AttentionShape shape, int blockSize, HalfAttentionChunk[] chunks, bool newKeysInCache)
    {
        (_shape, _blockSize, _chunks) = (shape, blockSize, chunks);
        int numTokens = chunks.Sum(c => c.Count), longest = chunks.Max(c => Math.Max(c.End, 1));
        _maxBlocks = (longest + blockSize - 1) / blockSize + 1;
        int numBlocks = chunks.Length * _maxBlocks;
        _blocks = [.. Enumerable.Range(0, numBlocks)];
        new Random(11).Shuffle(_blocks);

        var keys = new ushort[numBlocks * blockSize * shape.KvWidth];
        var values = new ushort[keys.Length];
        keys.AsSpan().Fill(NaN);
        values.AsSpan().Fill(NaN);
        for (int s = 0; s < chunks.Length; s++)
        {
            for (int p = 0; p < (newKeysInCache ? chunks[s].End : chunks[s].Prefix); p++)
            {
                for (int h = 0; h < shape.NumKvHeads; h++)
                {
                    int from = p * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim;
                    Put(chunks[s].Rows, from, keys, CacheRow(s, p, h));
                    Put(chunks[s].Rows, from + shape.KvWidth, values, CacheRow(s, p, h));
                }
            }
        }
        var qkv = new ushort[numTokens * shape.QkvWidth];
        int row = 0;
        foreach (var chunk in chunks)
        {
            for (int i = 0; i < chunk.Count * shape.QkvWidth; i++)
                qkv[row * shape.QkvWidth + i] = chunk.Prefix < 0 ? NaN : HalfBits(chunk.Rows[chunk.Prefix * shape.QkvWidth + i]);
            row += chunk.Count;
        }

        _keys = (GpuBuffer)backend.Allocate(ElementType.F16, keys.Length);
        _device = _keys.Device;
        _values = (GpuBuffer)backend.Allocate(ElementType.F16, keys.Length);
        _qkv = (GpuBuffer)backend.Allocate(ElementType.F16, qkv.Length);
        _output = (GpuBuffer)backend.Allocate(ElementType.F16, numTokens * shape.QueryWidth);
        Upload(keys, _keys);
        Upload(values, _values);
        Upload(qkv, _qkv);
        _batch = AttentionRun.CreateBatch(backend, numTokens, chunks.Length, _maxBlocks);
        FillMetadata(backend, numTokens);
    }

    public KvCacheLayer Cache => new(_keys, _values, _chunks.Length * _maxBlocks, _blockSize);

    /// <summary>Runs FlashAttention on rows that are rotated already: [numTokens, queryWidth].</summary>
    public float[] Flash(FlashLaunch launch)
    {
        Poison();
        launch(_shape, _qkv, Cache, _batch, _output);
        return Download(_output);
    }

    /// <summary>Runs DecodeAttention, whose workspace was reserved: [numTokens, queryWidth].</summary>
    public float[] Decode(IDecodeAttention kernel, RotaryTable table)
    {
        Poison();
        kernel.Launch(_shape, _qkv, table, Cache, _batch, _output);
        return Download(_output);
    }

    /// <summary>The cached key and value of a position.</summary>
    public (float[] Key, float[] Value) Cached(int sequence, int position, int kvHead)
    {
        int at = CacheRow(sequence, position, kvHead);
        return (Download(_keys)[at..(at + _shape.HeadDim)], Download(_values)[at..(at + _shape.HeadDim)]);
    }

    /// <summary>The reference on rows that are rotated already: [numTokens, queryWidth].</summary>
    public static double[] Reference(AttentionShape shape, HalfAttentionChunk[] chunks)
    {
        var rotary = new float[shape.HeadDim];
        rotary.AsSpan(0, shape.HeadDim / 2).Fill(1);
        var outputs = new List<double>();
        foreach (var chunk in chunks)
        {
            if (chunk.Prefix < 0)
                outputs.AddRange(new double[chunk.Count * shape.QueryWidth]);
            else
                outputs.AddRange(ReferenceKernels.Attention(shape, chunk.Rows[..(chunk.End * shape.QkvWidth)], rotary, new int[chunk.End])[(chunk.Prefix * shape.QueryWidth)..]);
        }
        return [.. outputs];
    }

    public void Dispose()
    {
        foreach (DeviceBuffer buffer in new DeviceBuffer[]
        {
            _qkv, _keys, _values, _output, _batch.TokenIds, _batch.Positions, _batch.RotaryRows, _batch.SlotMapping, _batch.TokenSequences, _batch.QueryStartLoc,
            _batch.SeqLens, _batch.BlockTables, _batch.LogitsIndices,
        })
        {
            buffer.Dispose();
        }
    }

    private static void Put(float[] source, int from, ushort[] target, int to, int count)
    {
        for (int i = 0; i < count; i++)
            target[to + i] = HalfBits(source[from + i]);
    }

    private static ushort HalfBits(float value) => BitConverter.HalfToUInt16Bits((Half)value);

    private void Put(float[] source, int from, ushort[] target, int to) => Put(source, from, target, to, _shape.HeadDim);

    private int CacheRow(int sequence, int position, int kvHead) =>
        ((_blocks[sequence * _maxBlocks + position / _blockSize] * _shape.NumKvHeads + kvHead) * _blockSize + position % _blockSize) * _shape.HeadDim;

    private void FillMetadata(GpuBackend backend, int numTokens)
    {
        List<int> positions = [], slots = [], sequences = [], starts = [0], lens = [], tables = [];
        for (int s = 0; s < _chunks.Length; s++)
        {
            for (int i = 0; i < _chunks[s].Count; i++)
            {
                int position = _chunks[s].Prefix < 0 ? -1 : _chunks[s].Prefix + i;
                positions.Add(position);
                slots.Add(position < 0 ? -1 : _blocks[s * _maxBlocks + position / _blockSize] * _blockSize + position % _blockSize);
                sequences.Add(s);
            }
            starts.Add(positions.Count);
            lens.Add(Math.Max(_chunks[s].End, 0));
            // Blocks that the sequence has not reached yet must not be read: their ids are invalid.
            int used = (lens[^1] + _blockSize - 1) / _blockSize;
            tables.AddRange(Enumerable.Range(0, _maxBlocks).Select(b => b < used ? _blocks[s * _maxBlocks + b] : int.MinValue));
        }
        backend.Upload(positions.ToArray(), _batch.Positions);
        backend.Upload(positions.Select(p => Math.Max(p, 0)).ToArray(), _batch.RotaryRows);
        backend.Upload(slots.ToArray(), _batch.SlotMapping);
        backend.Upload(sequences.ToArray(), _batch.TokenSequences);
        backend.Upload(starts.ToArray(), _batch.QueryStartLoc);
        backend.Upload(lens.ToArray(), _batch.SeqLens);
        backend.Upload(tables.ToArray(), _batch.BlockTables);
        _batch.NumTokens = numTokens;
        _batch.NumSeqs = _chunks.Length;
        _batch.MaxQueryLen = _chunks.Max(c => c.Count);
        _batch.MaxSeqLen = lens.Max();
    }

    private void Poison()
    {
        var nans = new ushort[_output.Length];
        nans.AsSpan().Fill(NaN);
        Upload(nans, _output);
    }

    private void Upload(ushort[] values, GpuBuffer buffer) => _device.CopyToDevice(MemoryMarshal.AsBytes<ushort>(values), buffer.Address);

    private float[] Download(GpuBuffer buffer)
    {
        var bits = new ushort[buffer.Length];
        _device.CopyToHost(buffer.Address, MemoryMarshal.AsBytes(bits.AsSpan()));
        return [.. bits.Select(b => (float)BitConverter.UInt16BitsToHalf(b))];
    }
}
