namespace IlgpuLlm.Benchmarking;

/// <summary>Which operations are timed, and at what sizes.</summary>
public sealed record KernelBenchmarkOptions
{
    /// <summary>Tokens, one a sequence: a decode step.</summary>
    public int NumRows { get; init; } = 1;

    /// <summary>Tokens that each of these sequences has in the cache.</summary>
    public int ContextLen { get; init; } = 1024;

    /// <summary>Tokens of one prompt: the operations of a prefill step instead of a decode step; null: a decode step.</summary>
    public int? PrefillLen { get; init; }

    /// <summary>Products of these sizes instead of the model's operations.</summary>
    public IReadOnlyList<(int NumRows, int OutFeatures, int InFeatures)> LinearShapes { get; init; } = [];

    /// <summary>Only operations whose name contains this; null: all.</summary>
    public string? Filter { get; init; }

    /// <summary>Checks the numbers.</summary>
    /// <exception cref="InvalidOptionException">One is out of range.</exception>
    public void Validate()
    {
        BenchmarkRun.AtLeast("batch-size", NumRows, 1);
        BenchmarkRun.AtLeast("context-len", ContextLen, 1);
        BenchmarkRun.AtLeast("prefill-len", PrefillLen ?? 1, 1);
        foreach (var (rows, outFeatures, inFeatures) in LinearShapes)
            BenchmarkRun.AtLeast("linear", Math.Min(rows, Math.Min(outFeatures, inFeatures)), 1);
    }
}
