using IlgpuLlm.Kernels;
using IlgpuLlm.Models;
using IlgpuLlm.Sampling;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>
/// One step on one device: lay out the batch, run the model, sample. Where the device samples, a step is queued and its tokens fetched later; only requests
/// that want log-probabilities have their logits sent to the host.
/// </summary>
internal sealed class ModelRunner : IModelRunner
{
    private readonly Backend _backend;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly RotaryTableBuilder _rotary;
    private readonly InputBatch _batch;
    private readonly DeviceSampling? _sampling;
    private readonly SamplingBatch? _samplingBatch;
    private readonly DecodeGraphs? _graphs;
    private readonly bool _overlaps;
    private readonly Sampler _sampler;
    private readonly Flight[] _flights;
    private readonly float[] _logits;
    private readonly int[] _logitsRows;
    private readonly int _vocabSize;
    private readonly int _maxLogits;
    private DeviceStepTimer? _timer;
    private long _numLaunched, _numCollected;

    /// <param name="backend">The device.</param>
    /// <param name="model">The model.</param>
    /// <param name="cache">The KV cache.</param>
    /// <param name="rotary">The rotary table.</param>
    /// <param name="batch">For steps that no graph runs.</param>
    /// <param name="sampling">What sampling on the device needs; null: the host samples.</param>
    /// <param name="graphs">Decode steps as graphs, if the device has them.</param>
    /// <param name="overlaps">Whether a step may be launched before the one before it is collected.</param>
    /// <param name="maxSeqs">The most sequences in a step.</param>
    /// <param name="maxLogits">The most rows of logits at a time.</param>
    /// <param name="vocabSize">Tokens in the vocabulary.</param>
    public ModelRunner(Backend backend, LlamaModel model, KvCache cache, RotaryTableBuilder rotary, InputBatch batch, DeviceSampling? sampling,
        DecodeGraphs? graphs, bool overlaps, int maxSeqs, int maxLogits, int vocabSize)
    {
        _backend = backend;
        _model = model;
        _cache = cache;
        _rotary = rotary;
        _batch = batch;
        _sampling = sampling;
        _samplingBatch = sampling?.NewBatch(batch.SamplingSlab, maxLogits);
        _graphs = graphs;
        _overlaps = overlaps && sampling is not null;
        _vocabSize = vocabSize;
        _maxLogits = maxLogits;
        _sampler = new Sampler(vocabSize);
        _flights = [new Flight(backend, maxSeqs), new Flight(backend, maxSeqs)];
        _logits = GC.AllocateUninitializedArray<float>(checked(maxLogits * vocabSize), pinned: true);
        _logitsRows = new int[maxLogits];
    }

    /// <summary>The device.</summary>
    public Backend Backend => _backend;

    public bool Launch(SchedulerOutput scheduled)
    {
        var flight = _flights[_numLaunched++ % _flights.Length];
        flight.Scheduled = scheduled;
        flight.IsGraph = _graphs is not null && !WantsPromptRows(scheduled) && _graphs.TryRun(scheduled, _rotary);
        flight.NeedsLogits = NeedsLogits(scheduled);
        if (flight.IsGraph)
            Array.Clear(flight.Output.Rows, 0, scheduled.Count);
        else
            Run(scheduled, flight.Output);
        if (!flight.IsGraph)
            _timer?.Interrupt();
        if (_sampling is not null)
            flight.Tokens.Start(_sampling.Sampled, scheduled.Count * Backend.SampledWidth);
        for (int s = 0; s < scheduled.Count; s++)
        {
            if (scheduled.Samples[s])
                scheduled.Requests[s].SampledRow = s;
        }
        return _overlaps && !flight.NeedsLogits;
    }

    public ModelRunnerOutput Collect()
    {
        var flight = _flights[_numCollected++ % _flights.Length];
        var (scheduled, rows) = (flight.Scheduled!, flight.Output.Rows);
        flight.Scheduled = null;
        var tokens = flight.Tokens.Wait();
        if (flight.NeedsLogits)
            DownloadLogits(scheduled, flight.IsGraph);
        for (int s = 0, row = 0; s < scheduled.Count; s++)
        {
            if (!scheduled.Samples[s])
            {
                rows[s] = rows[s] with { SampledTokenId = ModelRunnerRow.NoToken };
                row += flight.IsGraph ? 1 : 0;
                continue;
            }
            var request = scheduled.Requests[s];
            rows[s] = IsSampledByDevice(request)
                ? DeviceRow(tokens.Slice(s * Backend.SampledWidth, Backend.SampledWidth), rows[s])
                : SampleRow(request, _logits.AsSpan(row * _vocabSize, _vocabSize), rows[s]);
            row++;
        }
        return flight.Output;
    }

    public DeviceStepTimer? TimeSteps()
    {
        if (_graphs is not null)
            _timer = _graphs.Timer ??= _backend.CreateStepTimer();
        return _timer;
    }

    public void Dispose()
    {
        if (_numLaunched > _numCollected)
            _backend.Synchronize(); // a step may be under way whose requests have all ended
        foreach (var flight in _flights)
            flight.Tokens.Dispose();
        _timer?.Dispose();
        _graphs?.Dispose();
        _sampling?.Dispose();
        _model.Dispose();
        _cache.Dispose();
        _rotary.Dispose();
        _batch.Dispose();
        _backend.Dispose();
    }

    private void Run(SchedulerOutput scheduled, ModelRunnerOutput output)
    {
        _batch.Fill(scheduled, _rotary);
        if (_batch.HasPendingTokens)
            _backend.ResolveTokens(_batch.Metadata.TokenIds, _sampling!.Sampled, _batch.Metadata.NumTokens);
        _model.Forward(_batch.Metadata, _rotary.Table, _cache.Layers);
        ReportPromptRows(scheduled, output);
        int numRows = 0, token = -1;
        for (int s = 0; s < scheduled.Count; s++)
        {
            token += scheduled.NumScheduledTokens[s];
            if (scheduled.Samples[s])
                _logitsRows[numRows++] = token;
        }
        if (numRows == 0)
            return;
        _batch.SendLogitsIndices(_logitsRows.AsSpan(0, numRows));
        _model.ComputeLogits(_batch.Metadata);
        if (_sampling is null)
            return;
        _batch.SendSampling(scheduled, _sampling);
        _samplingBatch!.NumRows = numRows;
        _backend.Sample(_model.Logits, _samplingBatch, _sampling.Sampled);
    }

    private bool IsSampledByDevice(Request request) => _sampling is not null && SamplingRows.CanSample(request);

    /// <summary>Whether the host samples for a request of the step.</summary>
    private bool NeedsLogits(SchedulerOutput scheduled)
    {
        for (int s = 0; s < scheduled.Count; s++)
        {
            if (scheduled.Samples[s] && !IsSampledByDevice(scheduled.Requests[s]))
                return true;
        }
        return false;
    }

    /// <summary>Fetches the logits of the requests that the host samples for, runs of neighbours at a time.</summary>
    private void DownloadLogits(SchedulerOutput scheduled, bool isGraph)
    {
        int first = 0, row = 0;
        for (int s = 0; s < scheduled.Count; s++)
        {
            if (!scheduled.Samples[s] && !isGraph)
                continue;
            if (!scheduled.Samples[s] || IsSampledByDevice(scheduled.Requests[s]))
            {
                DownloadLogits(first, row);
                first = row + 1;
            }
            row++;
        }
        DownloadLogits(first, row);
    }

    private void DownloadLogits(int first, int end)
    {
        if (first == end)
            return;
        int offset = first * _vocabSize, count = (end - first) * _vocabSize;
        _backend.Download(offset == 0 ? _model.Logits : _model.Logits.Slice(offset, count), _logits.AsSpan(offset, count)); // a slice is an allocation
    }

    private static bool WantsPromptRows(SchedulerOutput scheduled)
    {
        for (int s = 0; s < scheduled.Count; s++)
        {
            if (scheduled.FirstPositions[s] < NumPromptRows(scheduled.Requests[s]))
                return true;
        }
        return false;
    }

    /// <summary>The prompt's positions whose logits are wanted on the host. The last one's are those of no token of the prompt.</summary>
    private static int NumPromptRows(Request request) => request.Sampling switch
    {
        { PromptLogits: not null } => request.NumPromptTokens,
        { PromptLogprobs: not null } => request.NumPromptTokens - 1,
        _ => 0,
    };

    private static ModelRunnerRow DeviceRow(ReadOnlySpan<int> result, ModelRunnerRow row) => result[0] >= 0
        ? row with { SampledTokenId = result[0] }
        : row with { SampledTokenId = ModelRunnerRow.NoToken, Error = Sampler.NotFinite(-1 - result[0], BitConverter.Int32BitsToSingle(result[1])) };

    private ModelRunnerRow SampleRow(Request request, Span<float> logits, ModelRunnerRow row)
    {
        // The sampler overwrites its row, and log-probabilities are those of the model itself.
        float[]? raw = request.Sampling.Logprobs is null ? null : logits.ToArray();
        int token = _sampler.Sample(logits, request, out string? error);
        var logprobs = raw is null || token < 0 ? null : LogprobsCalculator.Calculate(raw, token, request.Sampling.Logprobs!.Value);
        return row with { SampledTokenId = token, Logprobs = logprobs, Error = error };
    }

    /// <summary>Hands out the logits of prompts, or the log-probabilities that they give: position p's is that of the prompt's token p + 1.</summary>
    private void ReportPromptRows(SchedulerOutput scheduled, ModelRunnerOutput output)
    {
        for (int s = 0, firstRow = 0; s < scheduled.Count; firstRow += scheduled.NumScheduledTokens[s++])
        {
            var request = scheduled.Requests[s];
            output.Rows[s] = default;
            int position = scheduled.FirstPositions[s];
            int first = Math.Max(position, request.NumPromptRows);
            int end = Math.Min(position + scheduled.NumScheduledTokens[s], NumPromptRows(request));
            if (first >= end)
                continue;
            output.Rows[s] = default(ModelRunnerRow) with { PromptLogprobs = ReportPromptRows(request, first, end, firstRow - position) };
            request.NumPromptRows = end;
        }
    }

    /// <param name="request">The request.</param>
    /// <param name="first">The first position.</param>
    /// <param name="end">Behind the last.</param>
    /// <param name="rowOfZero">The row of the step that position 0 would have.</param>
    private PositionLogprobs[]? ReportPromptRows(Request request, int first, int end, int rowOfZero)
    {
        var sink = request.Sampling.PromptLogits;
        var result = sink is null ? new PositionLogprobs[end - first] : null;
        for (int start = first; start < end; start += _maxLogits)
        {
            int numRows = Math.Min(_maxLogits, end - start);
            for (int i = 0; i < numRows; i++)
                _logitsRows[i] = rowOfZero + start + i;
            _batch.SendLogitsIndices(_logitsRows.AsSpan(0, numRows));
            _model.ComputeLogits(_batch.Metadata);
            DownloadLogits(0, numRows);
            sink?.Add(start, numRows, _logits.AsMemory(0, numRows * _vocabSize));
            for (int i = 0; i < numRows && result is not null; i++)
            {
                result[start + i - first] = LogprobsCalculator.Calculate(
                    _logits.AsSpan(i * _vocabSize, _vocabSize), request.TokenIds[start + i + 1], request.Sampling.PromptLogprobs!.Value);
            }
        }
        return result;
    }

    /// <summary>A step between its launch and its collection.</summary>
    private sealed class Flight(Backend backend, int maxSeqs)
    {
        public ModelRunnerOutput Output { get; } = new(maxSeqs);

        /// <summary>The tokens that the device chose, on their way to the host.</summary>
        public DownloadBuffer Tokens { get; } = backend.CreateDownload(maxSeqs * Backend.SampledWidth);

        public SchedulerOutput? Scheduled { get; set; }

        /// <summary>Whether a graph ran it: then every sequence has a row of logits, otherwise only those that get a token.</summary>
        public bool IsGraph { get; set; }

        /// <summary>Whether the host samples for some of its requests.</summary>
        public bool NeedsLogits { get; set; }
    }
}
