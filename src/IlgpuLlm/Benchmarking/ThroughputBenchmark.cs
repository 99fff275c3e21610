using System.Diagnostics;

namespace IlgpuLlm.Benchmarking;

/// <summary>What many requests took, prefill and decode together.</summary>
public sealed record ThroughputResult
{
    /// <summary>Requests.</summary>
    public required int NumPrompts { get; init; }

    /// <summary>Prompt tokens of each.</summary>
    public required int InputLen { get; init; }

    /// <summary>New tokens of each.</summary>
    public required int OutputLen { get; init; }

    /// <summary>From the first request's arrival to the last one's end.</summary>
    public required double ElapsedSeconds { get; init; }

    /// <summary>Requests over that time.</summary>
    public double RequestsPerSecond => NumPrompts / ElapsedSeconds;

    /// <summary>Prompt and new tokens over that time.</summary>
    public double TotalTokensPerSecond => RequestsPerSecond * (InputLen + OutputLen);

    /// <summary>New tokens over that time.</summary>
    public double OutputTokensPerSecond => RequestsPerSecond * OutputLen;

    /// <summary>Steps of the engine.</summary>
    public required long NumSteps { get; init; }

    /// <summary>Weights (embedding table excluded), keys and values that must be read, over that time.</summary>
    public required double GigabytesPerSecond { get; init; }

    /// <summary>Those as a share of the copy bandwidth.</summary>
    public double PercentOfCopy => 100 * GigabytesPerSecond / CopyGigabytesPerSecond;

    /// <summary>The device's measured copy bandwidth, read and written bytes.</summary>
    public required double CopyGigabytesPerSecond { get; init; }
}

/// <summary>Many random requests, all at once, greedy, end-of-sequence ignored: as <c>vllm bench throughput</c>.</summary>
public static class ThroughputBenchmark
{
    private const int NumWarmupPrompts = 8, WarmupOutputLen = 4;

    /// <summary>Runs a few requests that do not count, then all of them.</summary>
    /// <param name="llm">The engine.</param>
    /// <param name="numPrompts">Requests, at least 1.</param>
    /// <param name="inputLen">Prompt tokens of each, at least 1.</param>
    /// <param name="outputLen">New tokens of each, at least 1.</param>
    /// <param name="copyGigabytesPerSecond">The device's <see cref="CopyBandwidth"/>.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidOptionException">A number is out of range.</exception>
    /// <exception cref="InvalidRequestException">The engine cannot hold such sequences.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ThroughputResult Run(LLM llm, int numPrompts, int inputLen, int outputLen, double copyGigabytesPerSecond, CancellationToken cancellationToken = default)
    {
        BenchmarkRun.AtLeast("num-prompts", numPrompts, 1);
        BenchmarkRun.AtLeast("input-len", inputLen, 1);
        BenchmarkRun.AtLeast("output-len", outputLen, 1);
        BenchmarkRun.Generate(llm, Math.Min(numPrompts, NumWarmupPrompts), inputLen, Math.Min(outputLen, WarmupOutputLen), cancellationToken);
        long numStepsBefore = llm.NumSteps;
        long start = Stopwatch.GetTimestamp();
        BenchmarkRun.Generate(llm, numPrompts, inputLen, outputLen, cancellationToken);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long numSteps = llm.NumSteps - numStepsBefore;
        var traffic = new StepTraffic(llm.Info);
        double kvBytes = numPrompts * (traffic.PrefillKvBytes(inputLen) + traffic.DecodeKvBytes(inputLen, inputLen + outputLen - 1));
        return new ThroughputResult
        {
            NumPrompts = numPrompts,
            InputLen = inputLen,
            OutputLen = outputLen,
            ElapsedSeconds = seconds,
            NumSteps = numSteps,
            GigabytesPerSecond = (traffic.WeightBytes(numSteps) + kvBytes) / seconds / 1e9,
            CopyGigabytesPerSecond = copyGigabytesPerSecond,
        };
    }
}
