using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>
/// Steps of one token a sequence, recorded as device graphs when the engine starts: one graph for each of some batch sizes. A batch between two sizes
/// is filled up with rows that see and write nothing. Results are those of the same kernels outside a graph.
/// </summary>
internal sealed class DecodeGraphs : IDisposable
{
    private readonly Backend _backend;
    private readonly int _blockSize;
    private readonly int _maxBlocksPerSeq;
    private readonly DeviceSampling _sampling;
    private readonly DeviceBuffer _slab;
    private readonly UploadBuffer[] _staging = new UploadBuffer[2]; // one for the step that is copied, one for the step that is filled
    private readonly Bucket[] _buckets;
    private int _current;

    public DecodeGraphs(Backend backend, LlamaModel model, KvCacheLayer[] cache, RotaryTable rotary, DeviceSampling sampling, int maxSeqs, int maxModelLen,
        int blockSize, IProgress<LoadProgress>? progress = null)
    {
        _backend = backend;
        _sampling = sampling;
        _blockSize = blockSize;
        _maxBlocksPerSeq = BlocksPerSeq(maxModelLen, blockSize);
        int[] sizes = [.. Sizes(maxSeqs)];
        _slab = backend.Allocate(ElementType.I32, NumElements(sizes[^1], _maxBlocksPerSeq));
        for (int i = 0; i < _staging.Length; i++)
            _staging[i] = backend.CreateUpload(checked((int)_slab.Length));
        _buckets = new Bucket[sizes.Length];
        for (int i = 0; i < sizes.Length; i++)
        {
            _buckets[i] = Capture(sizes[i], model, cache, rotary);
            progress?.Report(default(LoadProgress) with { GraphsDone = i + 1, GraphsTotal = sizes.Length });
        }
    }

    /// <summary>The device memory that the constructor allocates, in bytes; what the driver keeps for the graphs themselves is not known.</summary>
    public static long ByteLength(int maxSeqs, int maxModelLen, int blockSize) =>
        sizeof(int) * NumElements(Sizes(maxSeqs).Last(), BlocksPerSeq(maxModelLen, blockSize));

    /// <summary>Times every run of a graph; null: nothing does.</summary>
    public DeviceStepTimer? Timer { get; set; }

    /// <summary>
    /// Queues a step, sampling included, if every sequence computes one token. Row s of the logits is that of sequence s. The step before the last must have
    /// ended.
    /// </summary>
    public bool TryRun(SchedulerOutput scheduled, RotaryTableBuilder rotary)
    {
        if (scheduled.TotalNumScheduledTokens != scheduled.Count)
            return false;
        int index = 0;
        while (_buckets[index].Size < scheduled.Count)
            index++;
        var bucket = _buckets[index];
        _current ^= 1;
        Fill(scheduled, rotary, bucket.Size);
        _staging[_current].Send(0, (int)NumElements(bucket.Size, _maxBlocksPerSeq), _slab);
        rotary.Upload();
        Timer?.Begin(scheduled.Count);
        bucket.Graph.Launch();
        Timer?.End();
        return true;
    }

    public void Dispose()
    {
        foreach (var bucket in _buckets)
            bucket.Graph.Dispose();
        foreach (var staging in _staging)
            staging.Dispose();
        _slab.Dispose();
    }

    // As vLLM's: fine where padding would cost most, then steps of 8, the token tile of the linear kernels.
    private static IEnumerable<int> Sizes(int maxSeqs)
    {
        for (int size = 1; size < Math.Min(8, maxSeqs); size *= 2)
            yield return size;
        for (int size = 8; size < maxSeqs; size += size < 256 ? 8 : 32)
            yield return size;
        yield return maxSeqs;
    }

    private static int BlocksPerSeq(int maxModelLen, int blockSize) => (maxModelLen + blockSize - 1) / blockSize;

    /// <summary>Eight integers a row, one more for queryStartLoc's end, and a row's sampling parameters and blocks.</summary>
    private static long NumElements(int size, int maxBlocksPerSeq) => size * (8L + DeviceSampling.RowWidth + maxBlocksPerSeq) + 1;

    private static int SamplingOffset(int size) => 8 * size + 1;

    private static int BlockTablesOffset(int size) => SamplingOffset(size) + size * DeviceSampling.RowWidth;

    private Bucket Capture(int size, LlamaModel model, KvCacheLayer[] cache, RotaryTable rotary)
    {
        DeviceBuffer Part(int index, int length) => _slab.Slice((long)index * size, length);
        var batch = new BatchMetadata
        {
            TokenIds = Part(0, size),
            Positions = Part(1, size),
            RotaryRows = Part(2, size),
            SlotMapping = Part(3, size),
            TokenSequences = Part(4, size),
            SeqLens = Part(5, size),
            LogitsIndices = Part(6, size),
            QueryStartLoc = Part(7, size + 1),
            BlockTables = _slab.Slice(BlockTablesOffset(size), (long)size * _maxBlocksPerSeq),
            MaxBlocksPerSeq = _maxBlocksPerSeq,
            NumTokens = size,
            NumSeqs = size,
            NumLogits = size,
            MaxQueryLen = 1,
            MaxSeqLen = _maxBlocksPerSeq * _blockSize,
        };
        var sampling = _sampling.NewBatch(_slab.Slice(SamplingOffset(size), (long)size * DeviceSampling.RowWidth), size);
        return new Bucket(size, _backend.CaptureGraph(() =>
        {
            _backend.ResolveTokens(batch.TokenIds, _sampling.Sampled, size);
            model.Forward(batch, rotary, cache);
            model.ComputeAllLogits(batch);
            _backend.Sample(model.Logits, sampling, _sampling.Sampled);
        }));
    }

    private void Fill(SchedulerOutput scheduled, RotaryTableBuilder rotary, int size)
    {
        var values = _staging[_current].Values;
        Span<int> tokenIds = values[..size], positions = values.Slice(size, size), rotaryRows = values.Slice(2 * size, size), slots = values.Slice(3 * size, size);
        Span<int> sequences = values.Slice(4 * size, size), seqLens = values.Slice(5 * size, size), rows = values.Slice(6 * size, size);
        Span<int> queryStartLoc = values.Slice(7 * size, size + 1), blockTables = values[BlockTablesOffset(size)..];
        var sampling = values.Slice(SamplingOffset(size), size * DeviceSampling.RowWidth);
        for (int s = 0; s < size; s++)
        {
            sequences[s] = rows[s] = queryStartLoc[s] = s;
            if (s < scheduled.Count)
            {
                var request = scheduled.Requests[s];
                int position = scheduled.FirstPositions[s];
                tokenIds[s] = InputBatch.TokenId(request, position);
                positions[s] = position;
                rotaryRows[s] = rotary.RowFor(s, position, request.NumPromptTokens);
                slots[s] = request.BlockTable[position / _blockSize] * _blockSize + position % _blockSize;
                seqLens[s] = position + 1;
                request.BlockTable.CopyTo(blockTables[(s * _maxBlocksPerSeq)..]);
                _sampling.Write(sampling, size, s, scheduled.Samples[s] && SamplingRows.CanSample(request) ? request : null, position + 1, s);
            }
            else
            {
                tokenIds[s] = rotaryRows[s] = seqLens[s] = 0;
                positions[s] = slots[s] = -1;
                _sampling.Write(sampling, size, s, null, 0, 0);
            }
        }
        queryStartLoc[size] = size;
    }

    private readonly record struct Bucket(int Size, DeviceGraph Graph);
}
