using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>Lays a step's requests out as the ragged batch that kernels read. Buffers are made once; filling and sending allocate nothing.</summary>
internal sealed class InputBatch : IDisposable
{
    private readonly int _blockSize;
    private readonly int _maxLogits;
    private readonly DeviceBuffer _slab;
    private readonly UploadBuffer[] _staging; // one for the step that is copied, one for the step that is filled
    private readonly Part _tokenIds, _positions, _rotaryRows, _slotMapping, _tokenSequences, _queryStartLoc, _seqLens, _blockTables, _logitsIndices, _sampling;
    private int _current;

    public InputBatch(Backend backend, int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize)
    {
        _blockSize = blockSize;
        _maxLogits = maxLogits;
        int maxBlocksPerSeq = MaxBlocksPerSeq(maxModelLen, blockSize);
        _slab = backend.Allocate(ElementType.I32, NumElements(maxTokens, maxSeqs, maxLogits, maxModelLen, blockSize));
        _staging = new UploadBuffer[backend.SupportsSampling ? 2 : 1];
        for (int i = 0; i < _staging.Length; i++)
            _staging[i] = backend.CreateUpload(checked((int)_slab.Length));
        int offset = 0;
        Part Next(int length)
        {
            var part = new Part(_slab.Slice(offset, length), offset);
            offset += length;
            return part;
        }
        _tokenIds = Next(maxTokens);
        _positions = Next(maxTokens);
        _rotaryRows = Next(maxTokens);
        _slotMapping = Next(maxTokens);
        _tokenSequences = Next(maxTokens);
        _queryStartLoc = Next(maxSeqs + 1);
        _seqLens = Next(maxSeqs);
        _logitsIndices = Next(maxLogits);
        _sampling = Next(maxLogits * DeviceSampling.RowWidth);
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

    /// <summary>Whether tokens of the step before are among the input: <see cref="Backend.ResolveTokens"/> puts them in.</summary>
    public bool HasPendingTokens { get; private set; }

    /// <summary>Parameters of rows of logits, as <see cref="DeviceSampling.NewBatch"/> reads them.</summary>
    public DeviceBuffer SamplingSlab => _sampling.Device;

    private UploadBuffer Host => _staging[_current];

    public static long ByteLength(int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize) =>
        sizeof(int) * NumElements(maxTokens, maxSeqs, maxLogits, maxModelLen, blockSize);

    /// <summary>The token at a position as kernels get it: -1 - r for a pending one, which is row r of the step before's results.</summary>
    public static int TokenId(Request request, int position) => position < request.NumTokens ? request.TokenIds[position] : -1 - request.SampledRow;

    /// <summary>
    /// Lays out the step's tokens and sends them. Rows whose logits are wanted follow with <see cref="SendLogitsIndices"/>. The step before the last must have
    /// ended.
    /// </summary>
    public void Fill(SchedulerOutput scheduled, RotaryTableBuilder rotary)
    {
        _current = (_current + 1) % _staging.Length;
        Span<int> tokenIds = Values(_tokenIds), positions = Values(_positions), rotaryRows = Values(_rotaryRows), slots = Values(_slotMapping);
        Span<int> sequences = Values(_tokenSequences), queryStartLoc = Values(_queryStartLoc), seqLens = Values(_seqLens), blockTables = Values(_blockTables);
        int numTokens = 0, maxQueryLen = 0, maxSeqLen = 0, maxBlocks = 1;
        HasPendingTokens = false;
        foreach (var request in scheduled.Requests)
            maxBlocks = Math.Max(maxBlocks, request.NumBlocks);
        for (int s = 0; s < scheduled.Count; s++)
        {
            var request = scheduled.Requests[s];
            int count = scheduled.NumScheduledTokens[s], first = scheduled.FirstPositions[s];
            var blocks = request.BlockTable;
            queryStartLoc[s] = numTokens;
            seqLens[s] = first + count;
            blocks.CopyTo(blockTables.Slice(s * maxBlocks, maxBlocks));
            for (int position = first; position < first + count; position++, numTokens++)
            {
                tokenIds[numTokens] = TokenId(request, position);
                positions[numTokens] = position;
                rotaryRows[numTokens] = rotary.RowFor(numTokens, position, request.NumPromptTokens);
                slots[numTokens] = blocks[position / _blockSize] * _blockSize + position % _blockSize;
                sequences[numTokens] = s;
            }
            HasPendingTokens |= tokenIds[numTokens - 1] < 0;
            maxQueryLen = Math.Max(maxQueryLen, count);
            maxSeqLen = Math.Max(maxSeqLen, first + count);
        }
        queryStartLoc[scheduled.Count] = numTokens;
        Metadata.NumTokens = numTokens;
        Metadata.NumSeqs = scheduled.Count;
        Metadata.MaxQueryLen = maxQueryLen;
        Metadata.MaxSeqLen = maxSeqLen;
        Metadata.MaxBlocksPerSeq = maxBlocks;
        foreach (var part in (ReadOnlySpan<Part>)[_tokenIds, _positions, _rotaryRows, _slotMapping, _tokenSequences])
            Send(part, numTokens);
        Send(_queryStartLoc, scheduled.Count + 1);
        Send(_seqLens, scheduled.Count);
        Send(_blockTables, scheduled.Count * maxBlocks);
        rotary.Upload();
    }

    /// <summary>Sends the rows whose logits are wanted. Called again only after what the first call was for has ended.</summary>
    public void SendLogitsIndices(ReadOnlySpan<int> rows)
    {
        rows.CopyTo(Values(_logitsIndices));
        Metadata.NumLogits = rows.Length;
        Send(_logitsIndices, rows.Length);
    }

    /// <summary>
    /// Writes and sends how the tokens of some rows of logits are chosen on the device: of the requests, in order, that get a token in this step. Requests that
    /// the host samples for get a row that chooses nothing.
    /// </summary>
    public void SendSampling(SchedulerOutput scheduled, DeviceSampling sampling)
    {
        int row = 0;
        for (int s = 0; s < scheduled.Count; s++)
        {
            if (!scheduled.Samples[s])
                continue;
            var request = scheduled.Requests[s];
            int position = scheduled.FirstPositions[s] + scheduled.NumScheduledTokens[s];
            sampling.Write(Values(_sampling), _maxLogits, row++, SamplingRows.CanSample(request) ? request : null, position, s);
        }
        Send(_sampling, _maxLogits * DeviceSampling.RowWidth);
    }

    public void Dispose()
    {
        foreach (var staging in _staging)
            staging.Dispose();
        _slab.Dispose();
    }

    private Span<int> Values(Part part) => Host.Values.Slice(part.Offset, (int)part.Device.Length);

    private void Send(Part part, int count) => Host.Send(part.Offset, count, part.Device);

    private static int MaxBlocksPerSeq(int maxModelLen, int blockSize) => (maxModelLen + blockSize - 1) / blockSize;

    private static long NumElements(int maxTokens, int maxSeqs, int maxLogits, int maxModelLen, int blockSize) =>
        5L * maxTokens + 2L * maxSeqs + 1 + maxLogits * (1L + DeviceSampling.RowWidth) + (long)maxSeqs * MaxBlocksPerSeq(maxModelLen, blockSize);

    /// <summary>A stretch of the slabs, on the device and on the host.</summary>
    private readonly record struct Part(DeviceBuffer Device, int Offset);
}
