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
    private readonly DeviceBuffer _slab;
    private readonly int[] _staging;
    private readonly Bucket[] _buckets;

    public DecodeGraphs(Backend backend, LlamaModel model, KvCacheLayer[] cache, RotaryTable rotary, int maxSeqs, int maxModelLen, int blockSize,
        IProgress<LoadProgress>? progress = null)
    {
        _backend = backend;
        _blockSize = blockSize;
        _maxBlocksPerSeq = BlocksPerSeq(maxModelLen, blockSize);
        int[] sizes = [.. Sizes(maxSeqs)];
        _slab = backend.Allocate(ElementType.I32, NumElements(sizes[^1], _maxBlocksPerSeq));
        _staging = GC.AllocateArray<int>(checked((int)_slab.Length), pinned: true);
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

    /// <summary>Runs a step up to its logits, row s those of sequence s, if every sequence computes one token.</summary>
    public bool TryRun(SchedulerOutput scheduled, RotaryTableBuilder rotary)
    {
        if (scheduled.TotalNumScheduledTokens != scheduled.Count)
            return false;
        int index = 0;
        while (_buckets[index].Size < scheduled.Count)
            index++;
        var bucket = _buckets[index];
        Fill(scheduled, rotary, bucket.Size);
        _backend.Upload(_staging.AsSpan(0, (int)NumElements(bucket.Size, _maxBlocksPerSeq)), _slab);
        rotary.Upload();
        bucket.Graph.Launch();
        return true;
    }

    public void Dispose()
    {
        foreach (var bucket in _buckets)
            bucket.Graph.Dispose();
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

    /// <summary>Seven integers a row, one more for queryStartLoc's end, and a row's blocks.</summary>
    private static long NumElements(int size, int maxBlocksPerSeq) => size * (8L + maxBlocksPerSeq) + 1;

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
            BlockTables = _slab.Slice(8L * size + 1, (long)size * _maxBlocksPerSeq),
            MaxBlocksPerSeq = _maxBlocksPerSeq,
            NumTokens = size,
            NumSeqs = size,
            NumLogits = size,
            MaxQueryLen = 1,
            MaxSeqLen = _maxBlocksPerSeq * _blockSize,
        };
        return new Bucket(size, _backend.CaptureGraph(() =>
        {
            model.Forward(batch, rotary, cache);
            model.ComputeAllLogits(batch);
        }));
    }

    private void Fill(SchedulerOutput scheduled, RotaryTableBuilder rotary, int size)
    {
        Span<int> Part(int index) => _staging.AsSpan(index * size, size);
        Span<int> tokenIds = Part(0), positions = Part(1), rotaryRows = Part(2), slots = Part(3), sequences = Part(4), seqLens = Part(5), rows = Part(6);
        var blockTables = _staging.AsSpan(8 * size + 1);
        for (int s = 0; s < size; s++)
        {
            sequences[s] = rows[s] = _staging[7 * size + s] = s;
            if (s < scheduled.Count)
            {
                var request = scheduled.Requests[s];
                int position = request.NumComputedTokens;
                tokenIds[s] = request.TokenIds[position];
                positions[s] = position;
                rotaryRows[s] = rotary.RowFor(s, position, request.NumPromptTokens);
                slots[s] = request.BlockTable[position / _blockSize] * _blockSize + position % _blockSize;
                seqLens[s] = position + 1;
                request.BlockTable.CopyTo(blockTables[(s * _maxBlocksPerSeq)..]);
            }
            else
            {
                tokenIds[s] = rotaryRows[s] = seqLens[s] = 0;
                positions[s] = slots[s] = -1;
            }
        }
        _staging[8 * size] = size;
    }

    private readonly record struct Bucket(int Size, DeviceGraph Graph);
}
