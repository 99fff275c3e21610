using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>Lays a step's requests out as the ragged batch that kernels read. Buffers are made once; filling and sending allocate nothing.</summary>
internal sealed class InputBatch : IDisposable
{
    private readonly Backend _backend;
    private readonly int _blockSize;
    private readonly DeviceBuffer _slab;
    private readonly Staging _tokenIds, _positions, _rotaryRows, _slotMapping, _tokenSequences, _queryStartLoc, _seqLens, _blockTables, _logitsIndices;

    public InputBatch(Backend backend, int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize)
    {
        _backend = backend;
        _blockSize = blockSize;
        int maxBlocksPerSeq = MaxBlocksPerSeq(maxModelLen, blockSize);
        _slab = backend.Allocate(ElementType.I32, NumElements(maxTokens, maxSeqs, maxLogits, maxModelLen, blockSize));
        long offset = 0;
        Staging Next(int length)
        {
            var staging = new Staging(_slab.Slice(offset, length));
            offset += length;
            return staging;
        }
        _tokenIds = Next(maxTokens);
        _positions = Next(maxTokens);
        _rotaryRows = Next(maxTokens);
        _slotMapping = Next(maxTokens);
        _tokenSequences = Next(maxTokens);
        _queryStartLoc = Next(maxSeqs + 1);
        _seqLens = Next(maxSeqs);
        _logitsIndices = Next(maxLogits);
        _blockTables = Next(checked(maxSeqs * maxBlocksPerSeq));
        Metadata = new BatchMetadata
        {
            TokenIds = _tokenIds.Device,
            Positions = _positions.Device,
            RotaryRows = _rotaryRows.Device,
            SlotMapping = _slotMapping.Device,
            TokenSequences = _tokenSequences.Device,
            QueryStartLoc = _queryStartLoc.Device,
            SeqLens = _seqLens.Device,
            BlockTables = _blockTables.Device,
            LogitsIndices = _logitsIndices.Device,
            MaxBlocksPerSeq = maxBlocksPerSeq,
        };
    }

    public BatchMetadata Metadata { get; }

    public static long ByteLength(int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize) =>
        sizeof(int) * NumElements(maxTokens, maxSeqs, maxLogits, maxModelLen, blockSize);

    /// <summary>Lays out the step's tokens and sends them. Rows whose logits are wanted follow with <see cref="SendLogitsIndices"/>.</summary>
    public void Fill(SchedulerOutput scheduled, RotaryTableBuilder rotary)
    {
        int numTokens = 0, maxQueryLen = 0, maxSeqLen = 0, maxBlocks = 1;
        foreach (var request in scheduled.Requests)
            maxBlocks = Math.Max(maxBlocks, request.NumBlocks);
        for (int s = 0; s < scheduled.Count; s++)
        {
            var request = scheduled.Requests[s];
            int count = scheduled.NumScheduledTokens[s], first = request.NumComputedTokens;
            var blocks = request.BlockTable;
            var tokens = request.TokenIds;
            _queryStartLoc.Host[s] = numTokens;
            _seqLens.Host[s] = first + count;
            blocks.CopyTo(_blockTables.Host.AsSpan(s * maxBlocks, maxBlocks));
            for (int position = first; position < first + count; position++, numTokens++)
            {
                _tokenIds.Host[numTokens] = tokens[position];
                _positions.Host[numTokens] = position;
                _rotaryRows.Host[numTokens] = rotary.RowFor(numTokens, position, request.NumPromptTokens);
                _slotMapping.Host[numTokens] = blocks[position / _blockSize] * _blockSize + position % _blockSize;
                _tokenSequences.Host[numTokens] = s;
            }
            maxQueryLen = Math.Max(maxQueryLen, count);
            maxSeqLen = Math.Max(maxSeqLen, first + count);
        }
        _queryStartLoc.Host[scheduled.Count] = numTokens;
        Metadata.NumTokens = numTokens;
        Metadata.NumSeqs = scheduled.Count;
        Metadata.MaxQueryLen = maxQueryLen;
        Metadata.MaxSeqLen = maxSeqLen;
        Metadata.MaxBlocksPerSeq = maxBlocks;
        foreach (var staging in (ReadOnlySpan<Staging>)[_tokenIds, _positions, _rotaryRows, _slotMapping, _tokenSequences])
            staging.Send(_backend, numTokens);
        _queryStartLoc.Send(_backend, scheduled.Count + 1);
        _seqLens.Send(_backend, scheduled.Count);
        _blockTables.Send(_backend, scheduled.Count * maxBlocks);
        rotary.Upload();
    }

    /// <summary>Sends the rows whose logits are wanted.</summary>
    public void SendLogitsIndices(ReadOnlySpan<int> rows)
    {
        rows.CopyTo(_logitsIndices.Host);
        Metadata.NumLogits = rows.Length;
        _logitsIndices.Send(_backend, rows.Length);
    }

    public void Dispose() => _slab.Dispose();

    private static int MaxBlocksPerSeq(int maxModelLen, int blockSize) => (maxModelLen + blockSize - 1) / blockSize;

    private static long NumElements(int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize) =>
        5L * maxTokens + 2L * maxSeqs + 1 + maxLogits + (long)maxSeqs * MaxBlocksPerSeq(maxModelLen, blockSize);

    /// <summary>A host array and the device buffer that its beginning is copied to.</summary>
    private readonly struct Staging(DeviceBuffer device)
    {
        public DeviceBuffer Device { get; } = device;

        public int[] Host { get; } = new int[device.Length];

        public void Send(Backend backend, int count) => backend.Upload(Host.AsSpan(0, count), Device);
    }
}
