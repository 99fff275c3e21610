namespace IlgpuLlm.Bench.Quality;

/// <summary>What answers are compared with; lists have an entry a question.</summary>
internal sealed class QualityReference
{
    /// <summary>Whose answers these are.</summary>
    public required string Name { get; init; }

    /// <summary>Whose distributions these are.</summary>
    public required string DistributionsOf { get; init; }

    /// <summary>The answers' tokens.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Answers { get; init; }

    public required IReadOnlyList<string> Texts { get; init; }

    /// <summary>How many of a sequence's tokens are the prompt's.</summary>
    public required IReadOnlyList<int> PromptLengths { get; init; }

    /// <summary>Prompt and answer, cut where the model's context ends.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Sequences { get; init; }

    /// <summary>Log-probabilities after every token of a sequence: [numTokens][vocabSize].</summary>
    public IReadOnlyList<IReadOnlyList<float[]>> Distributions { get; set; } = [];
}
