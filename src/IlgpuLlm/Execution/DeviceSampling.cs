using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>
/// What sampling keeps on the device from step to step: the tokens that the last step chose, which the next one may read there before the host knows them,
/// and the token counts of requests with penalties.
/// </summary>
internal sealed class DeviceSampling : IDisposable
{
    /// <summary>Integers of a row of parameters: a <see cref="SamplingRow"/> and its forbidden tokens.</summary>
    public const int RowWidth = SamplingRow.NumWords + SamplingRow.MaxBanned;

    private readonly Backend _backend;
    private readonly DeviceBuffer _slab;
    private readonly DeviceBuffer _tokenIds;
    private readonly Request?[] _owners; // of the rows of counts

    public DeviceSampling(Backend backend, int vocabSize, int maxSeqs, int maxModelLen)
    {
        _backend = backend;
        VocabSize = vocabSize;
        _owners = new Request?[maxSeqs];
        _slab = backend.Allocate(ElementType.I32, NumElements(vocabSize, maxSeqs, maxModelLen));
        Sampled = _slab.Slice(0, (long)maxSeqs * Backend.SampledWidth);
        TokenCounts = _slab.Slice(Sampled.Length, (long)maxSeqs * vocabSize);
        _tokenIds = _slab.Slice(Sampled.Length + TokenCounts.Length, maxModelLen);
    }

    public int VocabSize { get; }

    /// <summary>I32, [maxSeqs, 2]: the last step's tokens, row s that of its sequence s.</summary>
    public DeviceBuffer Sampled { get; }

    /// <summary>I32, [maxSeqs, vocabSize].</summary>
    public DeviceBuffer TokenCounts { get; }

    public static long ByteLength(int vocabSize, int maxSeqs, int maxModelLen) => sizeof(int) * NumElements(vocabSize, maxSeqs, maxModelLen);

    /// <summary>Describes rows of logits whose parameters lie in <paramref name="slab"/>, [numRows, <see cref="RowWidth"/>] in all.</summary>
    public SamplingBatch NewBatch(DeviceBuffer slab, int numRows) => new()
    {
        Rows = slab.Slice(0, (long)numRows * SamplingRow.NumWords),
        Banned = slab.Slice((long)numRows * SamplingRow.NumWords, (long)numRows * SamplingRow.MaxBanned),
        TokenCounts = TokenCounts,
        VocabSize = VocabSize,
        NumRows = numRows,
    };

    /// <summary>Writes the parameters of one row of logits.</summary>
    /// <param name="slab">The host's form of <see cref="NewBatch"/>'s slab.</param>
    /// <param name="numRows">The rows that the slab has room for.</param>
    /// <param name="row">The row of logits.</param>
    /// <param name="request">The request, or null: the row chooses nothing.</param>
    /// <param name="position">The position of the token that is chosen.</param>
    /// <param name="sequence">Where it goes: the request's place in the step.</param>
    public void Write(Span<int> slab, int numRows, int row, Request? request, int position, int sequence)
    {
        ref var parameters = ref MemoryMarshal.Cast<int, SamplingRow>(slab[..(numRows * SamplingRow.NumWords)])[row];
        parameters = request is null ? default : SamplingRows.Create(request, position - request.NumPromptTokens, sequence, CountsRow(request),
            slab.Slice(numRows * SamplingRow.NumWords + row * SamplingRow.MaxBanned, SamplingRow.MaxBanned));
    }

    public void Dispose() => _slab.Dispose();

    /// <summary>The row of counts of a request with penalties. At its first token, or if another request took its row while it waited, it is counted anew.</summary>
    private int CountsRow(Request request)
    {
        if (!SamplingRows.HasPenalties(request))
            return SamplingRow.NoCounts;
        int row = Array.IndexOf(_owners, request);
        if (row >= 0)
            return row;
        // There are as many rows as requests can run, so one belongs to none that does. What an earlier step still writes there comes before this.
        row = Array.FindIndex(_owners, static owner => owner is not { Status: RequestStatus.Running });
        _owners[row] = request;
        _backend.Upload(request.TokenIds, _tokenIds);
        _backend.CountTokens(TokenCounts, VocabSize, row, _tokenIds, request.NumPromptTokens, request.NumTokens);
        return row;
    }

    private static long NumElements(int vocabSize, int maxSeqs, int maxModelLen) => (long)maxSeqs * (Backend.SampledWidth + vocabSize) + maxModelLen;
}
