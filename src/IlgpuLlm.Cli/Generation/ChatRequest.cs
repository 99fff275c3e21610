using IlgpuLlm.Inputs.ChatTemplates;

namespace IlgpuLlm.Cli.Generation;

/// <summary>What the command line of <c>chat</c> asks for.</summary>
internal sealed record ChatRequest
{
    public required EngineOptions Engine { get; init; }

    /// <summary>Puts the command line's sampling options over a model's defaults and its default of max_tokens.</summary>
    public required Func<SamplingParams, int, SamplingParams> SamplingOver { get; init; }

    /// <summary>The only message; null: messages come from the standard input.</summary>
    public required string? Question { get; init; }

    public required string? System { get; init; }

    /// <summary>The template in place of the model's; null: the model's.</summary>
    public required ChatTemplate? Template { get; init; }

    public required bool Stats { get; init; }

    public required bool Verbose { get; init; }
}
