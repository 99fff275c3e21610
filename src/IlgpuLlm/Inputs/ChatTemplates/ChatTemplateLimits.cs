namespace IlgpuLlm.Inputs.ChatTemplates;

/// <summary>What a template may use up: it comes with a model, and nobody has read it.</summary>
public sealed record ChatTemplateLimits
{
    /// <summary>The limits that hold unless others are given.</summary>
    public static ChatTemplateLimits Default { get; } = new();

    /// <summary>Most steps: expressions and statements evaluated, and one for 16 characters or items that an operation reads or makes.</summary>
    public long MaxSteps { get; init; } = 4_000_000;

    /// <summary>Most characters of the result, and of any text on the way to it.</summary>
    public int MaxOutputLength { get; init; } = 16_000_000;

    /// <summary>Deepest nesting of expressions, statements, macro calls and values while the template is evaluated.</summary>
    public int MaxDepth { get; init; } = 1000;
}
