namespace IlgpuLlm.Benchmarking;

/// <summary>What one batch took, medians over the repetitions.</summary>
/// <param name="BatchSize">Sequences.</param>
/// <param name="InputLen">Prompt tokens of each.</param>
/// <param name="OutputLen">New tokens of each.</param>
/// <param name="PrefillTokensPerSecond">Prompt tokens of all over the time until the last sequence's first token.</param>
/// <param name="TimeToFirstTokenMs">That time.</param>
/// <param name="DecodeTokensPerSecond">Further tokens of all over the time from there to the end.</param>
/// <param name="StepMs">That time over the number of decode steps.</param>
/// <param name="WeightGigabytesPerSecond">Weights read over that time, embedding table excluded.</param>
/// <param name="KvGigabytesPerSecond">Keys and values read over that time.</param>
public sealed record LatencyResult(int BatchSize, int InputLen, int OutputLen, double PrefillTokensPerSecond, double TimeToFirstTokenMs,
    double DecodeTokensPerSecond, double StepMs, double WeightGigabytesPerSecond, double KvGigabytesPerSecond);

/// <summary>One batch of random prompts, all at once, greedy, end-of-sequence ignored.</summary>
public static class LatencyBenchmark
{
    /// <summary>Runs it.</summary>
    /// <param name="llm">The engine.</param>
    /// <param name="batchSize">Sequences, at least 1.</param>
    /// <param name="inputLen">Prompt tokens of each, at least 1.</param>
    /// <param name="outputLen">New tokens of each, at least 2.</param>
    /// <param name="numItersWarmup">Runs that do not count.</param>
    /// <param name="numIters">Runs that count.</param>
    /// <exception cref="InvalidOptionException">A number is out of range.</exception>
    /// <exception cref="InvalidRequestException">The engine cannot hold such sequences.</exception>
    public static LatencyResult Run(LLM llm, int batchSize, int inputLen, int outputLen, int numItersWarmup, int numIters)
    {
        AtLeast("batch-size", batchSize, 1);
        AtLeast("input-len", inputLen, 1);
        AtLeast("output-len", outputLen, 2);
        AtLeast("num-iters-warmup", numItersWarmup, 0);
        AtLeast("num-iters", numIters, 1);
        for (int i = 0; i < numItersWarmup; i++)
            RunOnce(llm, batchSize, inputLen, outputLen);
        var runs = Enumerable.Range(0, numIters).Select(_ => RunOnce(llm, batchSize, inputLen, outputLen)).ToList();
        double prefill = Median(runs.Select(r => r.Prefill)), decode = Median(runs.Select(r => r.Decode));
        int numSteps = outputLen - 1;
        var memory = llm.Info.Memory;
        double kvBytes = (double)batchSize * numSteps * (inputLen + outputLen / 2.0) * memory.BlockBytes / memory.BlockSize;
        return new LatencyResult(batchSize, inputLen, outputLen, batchSize * (double)inputLen / prefill, prefill * 1e3, batchSize * (double)numSteps / decode,
            decode / numSteps * 1e3, llm.Info.WeightBytesPerStep / 1e9 * numSteps / decode, kvBytes / 1e9 / decode);
    }

    private static (double Prefill, double Decode) RunOnce(LLM llm, int batchSize, int inputLen, int outputLen)
    {
        var random = new Random(0);
        var prompts = Enumerable.Range(0, batchSize).Select(_ =>
            Prompt.FromTokens([.. Enumerable.Range(0, inputLen).Select(_ => random.Next(llm.Info.Config.VocabSize))])).ToList();
        var outputs = llm.Generate(prompts, new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = outputLen });
        if (outputs.FirstOrDefault(o => o.Outputs[0].TokenIds.Count != outputLen) is { } shorter)
            throw new InvalidOptionException("output-len", $"{outputLen} does not fit: a sequence ended after {shorter.Outputs[0].TokenIds.Count} tokens ({shorter.Outputs[0].Error ?? "its longest length"})");
        double first = outputs.Max(o => o.Metrics.FirstTokenTime);
        return (first - outputs[0].Metrics.ArrivalTime, outputs.Max(o => o.Metrics.LastTokenTime) - first);
    }

    private static void AtLeast(string option, int value, int least)
    {
        if (value < least)
            throw new InvalidOptionException(option, $"{value} must be at least {least}");
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
