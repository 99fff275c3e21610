using System.Diagnostics;

namespace IlgpuLlm.Benchmarking;

/// <summary>One prompt's completion and when each of its tokens came.</summary>
internal sealed record TimedGeneration
{
    /// <summary>Prompt tokens.</summary>
    public required int NumPromptTokens { get; init; }

    /// <summary>New tokens.</summary>
    public required int NumTokens { get; init; }

    /// <summary>The wall time of everything: tokenizing, prefill, decode, detokenizing.</summary>
    public required double Seconds { get; init; }

    /// <summary>From the request to its first token.</summary>
    public required double TimeToFirstTokenSeconds { get; init; }

    /// <summary>From each token to the next one.</summary>
    public required IReadOnlyList<double> InterTokenSeconds { get; init; }

    /// <summary>New tokens over the wall time, as the seed's benchmark counts.</summary>
    public double TokensPerSecond => NumTokens / Seconds;

    /// <summary>Completes a prompt.</summary>
    /// <exception cref="InvalidRequestException">The prompt or a parameter is not valid.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TimedGeneration Run(LLM llm, Prompt prompt, SamplingParams sampling, CancellationToken cancellationToken = default)
    {
        var times = new List<double>();
        RequestOutput? last = null;
        long start = Stopwatch.GetTimestamp();
        llm.Stream(prompt, sampling with { OutputKind = RequestOutputKind.Delta }, output =>
        {
            last = output;
            for (int i = 0; i < output.Outputs[0].TokenIds.Count; i++)
                times.Add(output.Metrics.LastTokenTime);
        }, cancellationToken);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        if (last!.Outputs[0].Error is { } error)
            throw new InvalidRequestException("prompt", $"the request failed: {error}");
        return new TimedGeneration
        {
            NumPromptTokens = last.PromptTokenIds.Count,
            NumTokens = times.Count,
            Seconds = seconds,
            TimeToFirstTokenSeconds = last.Metrics.TimeToFirstToken,
            InterTokenSeconds = [.. times.Skip(1).Zip(times, (next, before) => next - before)],
        };
    }
}
