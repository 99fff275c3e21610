using IlgpuLlm.Inputs;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Outputs;

/// <summary>A request's completions and times.</summary>
internal sealed class RequestState
{
    private readonly ProcessedRequest _request;
    private readonly List<PositionLogprobs>? _promptLogprobs;
    private readonly double _arrivalTime;
    private double _firstTokenTime;
    private double _lastTokenTime;
    private int _numPreemptions;
    private int _numSentPromptLogprobs;

    public RequestState(ProcessedRequest request, TextTokenizer? tokenizer, double arrivalTime)
    {
        _request = request;
        _arrivalTime = arrivalTime;
        _promptLogprobs = request.Sampling.PromptLogprobs is null ? null : [];
        Sequences = new SequenceState[request.Sequences.Length];
        for (int i = 0; i < Sequences.Length; i++)
            Sequences[i] = new SequenceState(i, request.Sampling, tokenizer?.CreateDetokenizer(request.PromptTokenIds, request.Sampling.SkipSpecialTokens));
    }

    public string RequestId => _request.RequestId;

    public EngineCoreRequest[] CoreRequests => _request.Sequences;

    public RequestOutputKind OutputKind => _request.Sampling.OutputKind;

    public SequenceState[] Sequences { get; }

    public bool Finished => Array.TrueForAll(Sequences, s => s.FinishReason is not null);

    public void AddPromptLogprobs(PositionLogprobs[] logprobs, int sequenceIndex)
    {
        // Every sequence computes the same prompt; one of them reports it.
        if (sequenceIndex == 0)
            _promptLogprobs?.AddRange(logprobs);
    }

    public void TokenArrived(double now, int numPreemptions)
    {
        if (_firstTokenTime == 0)
            _firstTokenTime = now;
        _lastTokenTime = now;
        _numPreemptions = Math.Max(_numPreemptions, numPreemptions);
    }

    /// <summary>The request's output: all completions, or with deltas only the one that changed.</summary>
    public RequestOutput Snapshot(SequenceState changed)
    {
        bool delta = OutputKind == RequestOutputKind.Delta;
        var promptLogprobs = delta ? _promptLogprobs?[_numSentPromptLogprobs..] : _promptLogprobs;
        _numSentPromptLogprobs = _promptLogprobs?.Count ?? 0;
        return new RequestOutput
        {
            RequestId = RequestId,
            Prompt = _request.Prompt,
            PromptTokenIds = _request.PromptTokenIds,
            PromptLogprobs = promptLogprobs,
            Outputs = delta ? [changed.Snapshot(delta: true)] : Array.ConvertAll(Sequences, s => s.Snapshot(delta: false)),
            Finished = Finished,
            Metrics = new RequestMetrics(_arrivalTime, _firstTokenTime, _lastTokenTime, _numPreemptions),
        };
    }
}
