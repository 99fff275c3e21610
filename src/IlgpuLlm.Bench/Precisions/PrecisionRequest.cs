namespace IlgpuLlm.Bench.Precisions;

/// <summary>What <c>bench precisions</c> is asked for. Names and defaults are those of the seed's benchmark.</summary>
internal sealed record PrecisionRequest
{
    /// <summary>The seed's prompt.</summary>
    public const string DefaultPrompt = "Write an essay about the transformer model architecture";

    /// <summary>The seed's temperature.</summary>
    public const float DefaultTemperature = 0.1f;

    public string Prompt { get; init; } = DefaultPrompt;

    public int Repetitions { get; init; } = 10;

    public int MaxTokens { get; init; } = 512;

    public float Temperature { get; init; } = DefaultTemperature;

    public bool IgnoreEos { get; init; }

    /// <summary>Sequences of the batches of random prompts; none: that part is left out.</summary>
    public IReadOnlyList<int> BatchSizes { get; init; } = [];

    /// <summary>Prompt tokens of those.</summary>
    public int InputLen { get; init; } = 128;

    /// <summary>New tokens of those.</summary>
    public int OutputLen { get; init; } = 64;

    /// <summary>Whether the questions are asked.</summary>
    public bool ChecksQuality { get; init; } = true;

    /// <summary>The question file; null: this project's questions.</summary>
    public string? Questions { get; init; }

    /// <summary>Answers by Hugging Face; null: none.</summary>
    public string? GroundTruth { get; init; }

    /// <summary>The text whose perplexity is computed.</summary>
    public string Text { get; init; } = Resource.Text("perplexity.txt");

    /// <summary>The folder of all logs.</summary>
    public string LogsFolder { get; init; } = "logs";

    /// <summary>The log's file; null: performance.log in the run's folder.</summary>
    public string? LogFile { get; init; }

    /// <summary>Checks the numbers.</summary>
    /// <exception cref="InvalidOptionException">One is out of range.</exception>
    public void Validate()
    {
        Benchmarking.BenchmarkRun.AtLeast("repetitions", Repetitions, 1);
        Benchmarking.BenchmarkRun.AtLeast("max_tokens", MaxTokens, 1);
        Benchmarking.BenchmarkRun.AtLeast("input-len", InputLen, 1);
        Benchmarking.BenchmarkRun.AtLeast("output-len", OutputLen, 2);
        foreach (int batchSize in BatchSizes)
            Benchmarking.BenchmarkRun.AtLeast("batch-sizes", batchSize, 1);
        if (!(float.IsFinite(Temperature) && Temperature >= 0))
            throw new InvalidOptionException("temperature", FormattableString.Invariant($"{Temperature} must be finite and not negative"));
    }
}
