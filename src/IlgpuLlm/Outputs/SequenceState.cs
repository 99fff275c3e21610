using System.Text;
using IlgpuLlm.Engine;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Outputs;

/// <summary>One completion's text and tokens as they grow.</summary>
internal sealed class SequenceState
{
    private readonly SamplingParams _sampling;
    private readonly IncrementalDetokenizer? _detokenizer;
    private readonly StopChecker _stopChecker;
    private readonly StringBuilder _text = new();
    private readonly List<int> _tokenIds = [];
    private readonly List<PositionLogprobs>? _logprobs;
    private int _numSentChars;
    private int _numSentTokens;

    public SequenceState(int index, SamplingParams sampling, IncrementalDetokenizer? detokenizer)
    {
        Index = index;
        _sampling = sampling;
        _detokenizer = detokenizer;
        _stopChecker = new StopChecker(sampling.Stop, sampling.IncludeStopStrInOutput);
        _logprobs = sampling.Logprobs is null ? null : [];
    }

    public int Index { get; }

    public FinishReason? FinishReason { get; private set; }

    public object? StopReason { get; private set; }

    public string? Error { get; private set; }

    public int NumTokens => _tokenIds.Count;

    /// <summary>Adds a step's token. If its text completes a stop string, the sequence ends here and the core must be told.</summary>
    /// <returns>Whether a stop string ended it while the core still runs it.</returns>
    public bool Append(in EngineCoreOutput output)
    {
        (FinishReason, StopReason, Error) = (output.FinishReason, output.StopToken, output.Row.Error);
        if (output.Row.Error is null)
        {
            _tokenIds.Add(output.Row.SampledTokenId);
            if (output.Row.Logprobs is { } logprobs)
                _logprobs?.Add(logprobs);
        }
        if (_detokenizer is null)
            return false;

        // The token that ended the request is in the tokens, but not in the text.
        int before = _text.Length;
        bool hidden = Error is not null || (FinishReason == IlgpuLlm.FinishReason.Stop && !_sampling.IncludeStopStrInOutput);
        if (!hidden)
            _text.Append(_detokenizer.Append(output.Row.SampledTokenId));
        if (FinishReason is not null)
            _text.Append(_detokenizer.Flush());
        if (_tokenIds.Count <= _sampling.MinTokens || _stopChecker.Check(_text, _text.Length - before) is not { } stop)
            return false;
        bool coreRuns = FinishReason is null;
        (FinishReason, StopReason) = (IlgpuLlm.FinishReason.Stop, stop);
        return coreRuns;
    }

    /// <summary>Ends it from outside.</summary>
    public void Abort()
    {
        FinishReason ??= IlgpuLlm.FinishReason.Abort;
    }

    /// <summary>What is shown of it now.</summary>
    public CompletionOutput Snapshot(bool delta)
    {
        int shown = FinishReason is null ? Math.Max(_numSentChars, _text.Length - _stopChecker.HoldBack) : _text.Length;
        // What is held back may begin inside a character of two chars.
        if (shown > _numSentChars && shown < _text.Length && char.IsLowSurrogate(_text[shown]))
            shown--;
        int firstChar = delta ? Math.Min(_numSentChars, shown) : 0, firstToken = delta ? _numSentTokens : 0;
        _numSentChars = shown;
        _numSentTokens = _tokenIds.Count;
        return new CompletionOutput
        {
            Index = Index,
            Text = _text.ToString(firstChar, shown - firstChar),
            TokenIds = _tokenIds.GetRange(firstToken, _tokenIds.Count - firstToken),
            Logprobs = _logprobs?.GetRange(firstToken, _logprobs.Count - firstToken),
            FinishReason = FinishReason,
            StopReason = StopReason,
            Error = Error,
        };
    }
}
