namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>The arguments of a call.</summary>
internal sealed class CallArguments
{
    /// <summary>None.</summary>
    public static readonly CallArguments Empty = new();

    /// <summary>Those without a name.</summary>
    public List<object> Positional { get; } = [];

    /// <summary>Those with a name, each name once.</summary>
    public List<KeyValuePair<string, object>> Named { get; } = [];

    /// <summary>Puts arguments in the order of a function's parameters.</summary>
    /// <param name="function">The function's name, for messages.</param>
    /// <param name="numRequired">So many parameters must be given.</param>
    /// <param name="names">The parameters.</param>
    /// <returns>An argument a parameter; null: not given.</returns>
    /// <exception cref="JinjaException">Too many, too few, unknown or given twice.</exception>
    public object?[] Bind(string function, int numRequired, params ReadOnlySpan<string> names)
    {
        object?[] values = new object?[names.Length];
        if (Positional.Count > names.Length)
            throw new JinjaException($"{function}() takes at most {names.Length} arguments, {Positional.Count} are given");
        for (int i = 0; i < Positional.Count; i++)
            values[i] = Positional[i];
        foreach (var (name, value) in Named)
        {
            int i = names.IndexOf(name);
            if (i < 0)
                throw new JinjaException($"{function}() got an unexpected keyword argument '{name}'");
            if (values[i] is not null)
                throw new JinjaException($"{function}() got multiple values for argument '{name}'");
            values[i] = value;
        }
        for (int i = 0; i < numRequired; i++)
        {
            if (values[i] is null)
                throw new JinjaException($"{function}() lacks its argument '{names[i]}'");
        }
        return values;
    }

    /// <summary>As <see cref="Bind"/>, for functions of Python whose parameters have no names.</summary>
    public object?[] BindPositional(string function, int numRequired, params ReadOnlySpan<string> names) =>
        Named.Count > 0 ? throw new JinjaException($"{function}() takes no keyword arguments") : Bind(function, numRequired, names);
}
