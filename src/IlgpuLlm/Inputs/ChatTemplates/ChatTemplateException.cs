namespace IlgpuLlm.Inputs.ChatTemplates;

/// <summary>
/// A chat template cannot be used: it is malformed, it does something that is not possible or not allowed, it refuses the conversation by
/// <c>raise_exception</c>, it exceeds a limit, or the model has none.
/// </summary>
public sealed class ChatTemplateException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="template">The template's name: a file, or a file and a field.</param>
    /// <param name="line">The line in the template, from 1; 0: no line in particular.</param>
    /// <param name="problem">What is wrong.</param>
    /// <param name="innerException">The cause, if another error is.</param>
    public ChatTemplateException(string template, int line, string problem, Exception? innerException = null)
        : base(line > 0 ? $"{template}: line {line}: {problem}" : $"{template}: {problem}", innerException) =>
        (Template, Line, Problem) = (template, line, problem);

    /// <summary>The template's name.</summary>
    public string Template { get; }

    /// <summary>The line in the template, from 1; 0: no line in particular.</summary>
    public int Line { get; }

    /// <summary>What is wrong, without name and line: of <c>raise_exception</c> its message.</summary>
    public string Problem { get; }
}
