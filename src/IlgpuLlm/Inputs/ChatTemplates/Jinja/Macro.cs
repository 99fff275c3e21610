namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>A macro's text.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Parameters">Its parameters and, where they have one, their default values.</param>
/// <param name="Body">What it writes.</param>
/// <param name="TakesMore">Whether its body names <c>varargs</c>, so that further arguments are allowed.</param>
/// <param name="TakesNamed">Whether its body names <c>kwargs</c>, so that unknown named arguments are allowed.</param>
/// <param name="TakesCaller">Whether its body names <c>caller</c>.</param>
internal sealed record MacroDefinition(string Name, IReadOnlyList<KeyValuePair<string, Expression?>> Parameters, IReadOnlyList<Statement> Body, bool TakesMore,
    bool TakesNamed, bool TakesCaller);

/// <summary>A macro and the variables around it.</summary>
internal sealed class Macro(MacroDefinition definition, Scope outer) : JinjaFunction
{
    /// <inheritdoc/>
    public override string Name => definition.Name;

    /// <inheritdoc/>
    public override object Invoke(RenderContext context, CallArguments arguments)
    {
        var parameters = definition.Parameters;
        var scope = new Scope(outer);
        object?[] values = new object?[parameters.Count];
        for (int i = 0; i < Math.Min(values.Length, arguments.Positional.Count); i++)
            values[i] = arguments.Positional[i];
        if (arguments.Positional.Count > values.Length && !definition.TakesMore)
            throw new JinjaException($"macro '{Name}' takes not more than {values.Length} argument(s)");

        var further = new JinjaDict(context);
        object? caller = null;
        foreach (var (name, value) in arguments.Named)
        {
            int i = Index(name);
            if (i >= 0 && values[i] is not null)
                throw new JinjaException($"macro '{Name}' got multiple values for argument '{name}'");
            if (i >= 0)
                values[i] = value;
            else if (name == "caller" && definition.TakesCaller)
                caller = value;
            else if (definition.TakesNamed)
                further.Set(name, value);
            else
                throw new JinjaException($"macro '{Name}' takes no keyword argument '{name}'");
        }
        if (definition.TakesCaller)
            scope.Set("caller", caller ?? new Undefined("No caller defined"));
        if (definition.TakesMore)
            scope.Set("varargs", new JinjaList([.. arguments.Positional.Skip(values.Length)], isTuple: true));
        if (definition.TakesNamed)
            scope.Set("kwargs", further);
        // A default may use the parameters before it.
        for (int i = 0; i < values.Length; i++)
        {
            var (name, absent) = parameters[i];
            scope.Set(name, values[i] ?? (absent is null ? new Undefined($"parameter '{name}' was not provided") : context.Evaluate(absent, scope)));
        }
        return context.Collect(() => context.Execute(definition.Body, scope));
    }

    private int Index(string name)
    {
        for (int i = 0; i < definition.Parameters.Count; i++)
        {
            if (definition.Parameters[i].Key == name)
                return i;
        }
        return -1;
    }
}
