namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>The tokens put around an encoded text ("TemplateProcessing" with one sequence).</summary>
internal sealed record SequenceTemplate(IReadOnlyList<int> Before, IReadOnlyList<int> After)
{
    /// <summary>Nothing is put around it.</summary>
    public static SequenceTemplate None { get; } = new([], []);
}
