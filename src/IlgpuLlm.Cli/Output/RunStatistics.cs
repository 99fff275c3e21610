using System.Diagnostics;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Engine;

namespace IlgpuLlm.Cli.Output;

/// <summary>
/// Times, rates and memory of a run. Prefill is the time from the first request's arrival to the last request's first token, decode the time from
/// the first token of any to the last token of all; with one request the two do not overlap.
/// </summary>
internal sealed class RunStatistics(EngineInfo info)
{
    private readonly HashSet<string> _requestIds = [];
    private double _arrival = double.PositiveInfinity;
    private double _earliestFirstToken = double.PositiveInfinity;
    private double _latestFirstToken;
    private double _lastToken;
    private double _sumOfFirstTokenTimes;
    private int _numSequences;
    private long _numPromptTokens;
    private long _numCompletionTokens;

    /// <summary>The engine's steps, which count where several sequences ran; null: unknown.</summary>
    public long? NumSteps { get; init; }

    /// <summary>Adds an output: a request's only one, or one of its deltas.</summary>
    public void Add(RequestOutput output)
    {
        var metrics = output.Metrics;
        if (_requestIds.Add(output.RequestId))
        {
            _arrival = Math.Min(_arrival, metrics.ArrivalTime);
            _earliestFirstToken = Math.Min(_earliestFirstToken, metrics.FirstTokenTime);
            _latestFirstToken = Math.Max(_latestFirstToken, metrics.FirstTokenTime);
            _sumOfFirstTokenTimes += metrics.TimeToFirstToken;
            _numPromptTokens += output.PromptTokenIds.Count;
            _numSequences += output.Outputs.Count;
        }
        _lastToken = Math.Max(_lastToken, metrics.LastTokenTime);
        _numCompletionTokens += output.Outputs.Sum(o => o.TokenIds.Count);
    }

    /// <summary>Writes the lines of --stats.</summary>
    public void WriteTo(TextWriter writer)
    {
        var memory = info.Memory;
        using var process = Process.GetCurrentProcess();
        Line("model", $"{info.NumParameters / 1e6:N1} M parameters, {ElementTypeName.Of(info.DType)}, on {info.Device} ({info.DeviceDescription})");
        Line("load", $"{info.LoadSeconds:N2} s");
        Line("prefill", $"{_numPromptTokens} tokens, {Rate(_numPromptTokens, _latestFirstToken - _arrival)} tokens/s, TTFT {MeanTimeToFirstTokenMs():N1} ms{(_requestIds.Count > 1 ? " on average" : "")}");
        long numDecoded = _numCompletionTokens - _numSequences;
        Line("decode", $"{numDecoded} tokens, {Rate(numDecoded, _lastToken - _earliestFirstToken)} tokens/s, {GigabytesPerSecond()} GB/s of weights read");
        Line("memory", $"weights {ByteSize.Format(memory.WeightBytes)}, workspace {ByteSize.Format(memory.WorkspaceBytes)}, KV cache {ByteSize.Format(memory.KvCacheBytes)} ({memory.NumCacheTokens} tokens in {ElementTypeName.Of(info.KvCacheDType)}), process peak {ByteSize.Format(process.PeakWorkingSet64)}");

        void Line(string name, FormattableString value) => writer.WriteLine(FormattableString.Invariant($"{name,-8} {FormattableString.Invariant(value)}"));
    }

    private double MeanTimeToFirstTokenMs() => 1000 * _sumOfFirstTokenTimes / Math.Max(1, _requestIds.Count);

    /// <summary>One sequence: its decode steps, which read all weights each. Several: all steps of the run, since prefill and decode share steps.</summary>
    private string GigabytesPerSecond()
    {
        var (numSteps, seconds) = _numSequences > 1 && NumSteps is { } all
            ? (all, _lastToken - _arrival)
            : (_numCompletionTokens - 1, _lastToken - _earliestFirstToken);
        return Rate(numSteps * (info.WeightBytesPerStep / 1e9), seconds);
    }

    private static string Rate(double amount, double seconds) => amount > 0 && seconds > 0 ? FormattableString.Invariant($"{amount / seconds:N1}") : "-";
}
