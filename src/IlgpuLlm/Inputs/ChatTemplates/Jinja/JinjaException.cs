namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>
/// An error of a template: its syntax, what it does with its values, or <c>raise_exception</c>. <see cref="ChatTemplate"/> makes a
/// <see cref="ChatTemplateException"/> of it, which knows the template's name.
/// </summary>
internal sealed class JinjaException(string message, int line = 0) : Exception(message)
{
    /// <summary>The line, from 1; 0: where the template is evaluated now.</summary>
    public int Line { get; } = line;
}
