namespace IlgpuLlm.Cli.Generation;

/// <summary>What the command line of <c>generate</c> asks for.</summary>
internal sealed record GenerateRequest
{
    public required EngineOptions Engine { get; init; }

    public required IReadOnlyList<Prompt> Prompts { get; init; }

    /// <summary>Completions of each prompt.</summary>
    public required int NumCompletions { get; init; }

    /// <summary>Puts the command line's sampling options over a model's defaults and its default of max_tokens.</summary>
    public required Func<SamplingParams, int, SamplingParams> SamplingOver { get; init; }

    public required bool Json { get; init; }

    public required bool Stats { get; init; }

    public required bool Verbose { get; init; }

    /// <summary>One completion, for a reader: its text can be shown while it is made.</summary>
    public bool IsStream => !Json && Prompts.Count == 1 && NumCompletions == 1;
}
