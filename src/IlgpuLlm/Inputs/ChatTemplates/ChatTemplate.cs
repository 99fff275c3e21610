using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates.Jinja;

namespace IlgpuLlm.Inputs.ChatTemplates;

/// <summary>
/// A Jinja template that makes a model's prompt of a conversation, with the rules of Transformers' <c>apply_chat_template</c>: jinja2's sandbox,
/// <c>trim_blocks</c> and <c>lstrip_blocks</c>, loop controls, <c>raise_exception</c>, <c>strftime_now</c>. Thread-safe: nothing of a rendering stays.
/// </summary>
public sealed class ChatTemplate
{
    private readonly IReadOnlyList<Statement> _body;
    private readonly ChatTemplateLimits _limits;
    private readonly TimeProvider _time;

    private ChatTemplate(string name, string source, IReadOnlyList<Statement> body, ChatTemplateLimits limits, TimeProvider time) =>
        (Name, Source, _body, _limits, _time) = (name, source, body, limits, time);

    /// <summary>The template's name in errors.</summary>
    public string Name { get; }

    /// <summary>The template.</summary>
    public string Source { get; }

    /// <summary>Parses a template.</summary>
    /// <param name="source">The template.</param>
    /// <param name="name">Its name in errors: a file.</param>
    /// <param name="limits">What a rendering may use up; null: <see cref="ChatTemplateLimits.Default"/>.</param>
    /// <param name="time">The clock of <c>strftime_now</c>; null: the system's.</param>
    /// <exception cref="ChatTemplateException">It is malformed.</exception>
    public static ChatTemplate Parse(string source, string name = "chat template", ChatTemplateLimits? limits = null, TimeProvider? time = null) =>
        Parse(source, name, limits, time, trimBlocks: true, lstripBlocks: true);

    internal static ChatTemplate Parse(string source, string name, ChatTemplateLimits? limits, TimeProvider? time, bool trimBlocks, bool lstripBlocks)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(name);
        try
        {
            return new ChatTemplate(name, source, Parser.Parse(Lexer.Tokenize(source, trimBlocks, lstripBlocks)), limits ?? ChatTemplateLimits.Default,
                time ?? TimeProvider.System);
        }
        catch (JinjaException error)
        {
            throw new ChatTemplateException(name, error.Line, error.Message, error);
        }
    }

    /// <summary>Renders the template.</summary>
    /// <param name="variables">Its variables, among them <c>messages</c>.</param>
    /// <exception cref="ChatTemplateException">It refuses the variables, does what is not possible or exceeds a limit.</exception>
    public string Render(IEnumerable<KeyValuePair<string, JsonElement>> variables)
    {
        ArgumentNullException.ThrowIfNull(variables);
        var context = new RenderContext(_limits, _time);
        try
        {
            var scope = new Scope(null);
            foreach (var (name, value) in variables)
                scope.Set(name, JsonValues.Convert(context, value));
            context.Execute(_body, scope);
            return context.Output.ToString();
        }
        catch (JinjaException error)
        {
            throw new ChatTemplateException(Name, error.Line > 0 ? error.Line : context.Line, error.Message, error);
        }
    }
}
