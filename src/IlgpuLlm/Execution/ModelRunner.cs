using IlgpuLlm.Kernels;
using IlgpuLlm.Models;
using IlgpuLlm.Sampling;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>One step on one device: lay out the batch, run the model, sample.</summary>
internal sealed class ModelRunner : IModelRunner
{
    private readonly Backend _backend;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly RotaryTableBuilder _rotary;
    private readonly InputBatch _batch;
    private readonly DecodeGraphs? _graphs;
    private readonly Sampler _sampler;
    private readonly ModelRunnerOutput _output;
    private readonly float[] _logits;
    private readonly int[] _logitsRows;
    private readonly int _vocabSize;
    private readonly int _maxLogits;

    public ModelRunner(Backend backend, LlamaModel model, KvCache cache, RotaryTableBuilder rotary, InputBatch batch, DecodeGraphs? graphs, int maxSeqs, int maxLogits, int vocabSize)
    {
        _backend = backend;
        _model = model;
        _cache = cache;
        _rotary = rotary;
        _batch = batch;
        _graphs = graphs;
        _vocabSize = vocabSize;
        _maxLogits = maxLogits;
        _sampler = new Sampler(vocabSize);
        _output = new ModelRunnerOutput(maxSeqs);
        _logits = GC.AllocateUninitializedArray<float>(checked(maxLogits * vocabSize), pinned: true);
        _logitsRows = new int[maxLogits];
    }

    public ModelRunnerOutput Execute(SchedulerOutput scheduled)
    {
        if (_graphs is not null && !WantsPromptLogprobs(scheduled) && _graphs.TryRun(scheduled, _rotary))
        {
            SampleAllRows(scheduled);
            return _output;
        }
        _batch.Fill(scheduled, _rotary);
        _model.Forward(_batch.Metadata, _rotary.Table, _cache.Layers);
        ReportPromptLogprobs(scheduled);
        Sample(scheduled);
        return _output;
    }

    public void Dispose()
    {
        _graphs?.Dispose();
        _model.Dispose();
        _cache.Dispose();
        _rotary.Dispose();
        _batch.Dispose();
        _backend.Dispose();
    }

    private void Sample(SchedulerOutput scheduled)
    {
        int numRows = 0, row = -1;
        for (int s = 0; s < scheduled.Count; s++)
        {
            row += scheduled.NumScheduledTokens[s];
            if (IsLastChunk(scheduled, s))
                _logitsRows[numRows++] = row;
            else
                _output.Rows[s] = _output.Rows[s] with { SampledTokenId = ModelRunnerRow.NoToken, Logprobs = null };
        }
        if (numRows == 0)
            return;
        ComputeLogits(_logitsRows.AsSpan(0, numRows));
        for (int s = 0, next = 0; s < scheduled.Count; s++)
        {
            if (IsLastChunk(scheduled, s))
                _output.Rows[s] = SampleRow(scheduled.Requests[s], _logits.AsSpan(next++ * _vocabSize, _vocabSize), _output.Rows[s]);
        }
    }

    /// <summary>After a graph: the logits of every sequence are there.</summary>
    private void SampleAllRows(SchedulerOutput scheduled)
    {
        _backend.Download(_model.Logits, _logits.AsSpan(0, scheduled.Count * _vocabSize));
        for (int s = 0; s < scheduled.Count; s++)
        {
            _output.Rows[s] = IsLastChunk(scheduled, s)
                ? SampleRow(scheduled.Requests[s], _logits.AsSpan(s * _vocabSize, _vocabSize), default)
                : new ModelRunnerRow(ModelRunnerRow.NoToken, null, null, null);
        }
    }

    private static bool WantsPromptLogprobs(SchedulerOutput scheduled)
    {
        foreach (var request in scheduled.Requests)
        {
            if (request.Sampling.PromptLogprobs is not null && request.NumComputedTokens < request.NumPromptTokens - 1)
                return true;
        }
        return false;
    }

    private ModelRunnerRow SampleRow(Request request, Span<float> logits, ModelRunnerRow row)
    {
        // The sampler overwrites its row, and log-probabilities are those of the model itself.
        float[]? raw = request.Sampling.Logprobs is null ? null : logits.ToArray();
        int token = _sampler.Sample(logits, request, out string? error);
        var logprobs = raw is null || token < 0 ? null : LogprobsCalculator.Calculate(raw, token, request.Sampling.Logprobs!.Value);
        return row with { SampledTokenId = token, Logprobs = logprobs, Error = error };
    }

    /// <summary>Position p's logits give the log-probability of the prompt's token p + 1.</summary>
    private void ReportPromptLogprobs(SchedulerOutput scheduled)
    {
        for (int s = 0, firstRow = 0; s < scheduled.Count; firstRow += scheduled.NumScheduledTokens[s++])
        {
            var request = scheduled.Requests[s];
            _output.Rows[s] = default;
            if (request.Sampling.PromptLogprobs is not { } count)
                continue;
            int first = Math.Max(request.NumComputedTokens, request.NumPromptLogprobs);
            int end = Math.Min(request.NumComputedTokens + scheduled.NumScheduledTokens[s], request.NumPromptTokens - 1);
            if (first >= end)
                continue;
            _output.Rows[s] = default(ModelRunnerRow) with { PromptLogprobs = PromptLogprobs(request, first, end, firstRow, count) };
            request.NumPromptLogprobs = end;
        }
    }

    private PositionLogprobs[] PromptLogprobs(Request request, int first, int end, int firstRow, int count)
    {
        var result = new PositionLogprobs[end - first];
        for (int start = first; start < end; start += _maxLogits)
        {
            int numRows = Math.Min(_maxLogits, end - start);
            for (int i = 0; i < numRows; i++)
                _logitsRows[i] = firstRow + start + i - request.NumComputedTokens;
            ComputeLogits(_logitsRows.AsSpan(0, numRows));
            for (int i = 0; i < numRows; i++)
                result[start + i - first] = LogprobsCalculator.Calculate(_logits.AsSpan(i * _vocabSize, _vocabSize), request.TokenIds[start + i + 1], count);
        }
        return result;
    }

    private void ComputeLogits(ReadOnlySpan<int> rows)
    {
        _batch.SendLogitsIndices(rows);
        _model.ComputeLogits(_batch.Metadata);
        _backend.Download(_model.Logits, _logits.AsSpan(0, rows.Length * _vocabSize));
    }

    private static bool IsLastChunk(SchedulerOutput scheduled, int index)
    {
        var request = scheduled.Requests[index];
        return request.NumComputedTokens + scheduled.NumScheduledTokens[index] == request.NumTokens;
    }
}
