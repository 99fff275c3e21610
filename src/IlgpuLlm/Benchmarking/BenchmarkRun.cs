namespace IlgpuLlm.Benchmarking;

/// <summary>Random requests, greedy, end-of-sequence ignored, all at once.</summary>
internal static class BenchmarkRun
{
    /// <summary>Runs them; the same tokens each time.</summary>
    /// <exception cref="InvalidOptionException">A sequence ended early.</exception>
    /// <exception cref="InvalidRequestException">The engine cannot hold such sequences.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<RequestOutput> Generate(LLM llm, int numPrompts, int inputLen, int outputLen, CancellationToken cancellationToken)
    {
        var random = new Random(0);
        var prompts = Enumerable.Range(0, numPrompts).Select(_ =>
            Prompt.FromTokens([.. Enumerable.Range(0, inputLen).Select(_ => random.Next(llm.Info.Config.VocabSize))])).ToList();
        var outputs = llm.Generate(prompts, new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = outputLen }, cancellationToken: cancellationToken);
        if (outputs.FirstOrDefault(o => o.Outputs[0].TokenIds.Count != outputLen) is { } shorter)
        {
            string reason = shorter.Outputs[0].Error ?? "its longest length";
            throw new InvalidOptionException("output-len", $"{outputLen} does not fit: a sequence ended after {shorter.Outputs[0].TokenIds.Count} tokens ({reason})");
        }
        return outputs;
    }

    /// <exception cref="InvalidOptionException">The value is below the least.</exception>
    public static void AtLeast(string option, int value, int least)
    {
        if (value < least)
            throw new InvalidOptionException(option, $"{value} must be at least {least}");
    }
}
