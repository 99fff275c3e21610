namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>The functions that every template sees.</summary>
internal static class JinjaGlobals
{
    // The sandbox's limit.
    private const long MaxRange = 100_000;

    /// <summary>All of them by name.</summary>
    public static IReadOnlyDictionary<string, object> All { get; } = new Dictionary<string, object>
    {
        ["range"] = new BuiltinFunction("range", Range),
        ["dict"] = new BuiltinFunction("dict", (context, arguments) => Dict(context, arguments)),
        ["namespace"] = new BuiltinFunction("namespace", Namespace),
        ["cycler"] = new BuiltinFunction("cycler", (_, arguments) => arguments.Positional.Count == 0
            ? throw new JinjaException("at least one item has to be provided")
            : new Cycler(arguments.Positional)),
        ["joiner"] = new BuiltinFunction("joiner", Joiner),
        ["raise_exception"] = new BuiltinFunction("raise_exception", (context, arguments) =>
            throw new JinjaException(Operators.ToText(context, arguments.Bind("raise_exception", 1, "message")[0]!))),
        ["strftime_now"] = new BuiltinFunction("strftime_now", (context, arguments) => DateText.Format(context,
            context.Time.GetLocalNow(), Operators.ToString(arguments.Bind("strftime_now", 1, "format")[0]!, "strftime() argument 1"))),
    };

    private static JinjaRange Range(RenderContext context, CallArguments arguments)
    {
        object?[] values = arguments.BindPositional("range", 1, "start", "stop", "step");
        long first = Operators.ToInteger(values[0]!, "range() argument 1");
        var range = values[1] is null
            ? new JinjaRange(0, first, 1)
            : new JinjaRange(first, Operators.ToInteger(values[1]!, "range() argument 2"), values[2] is { } step ? Operators.ToInteger(step, "range() argument 3") : 1);
        if (range.Step == 0)
            throw new JinjaException("range() arg 3 must not be zero");
        return (ulong)range.Count <= MaxRange ? range : throw new JinjaException($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MaxRange}).");
    }

    private static JinjaDict Dict(RenderContext context, CallArguments arguments)
    {
        var dict = new JinjaDict(context);
        if (arguments.Positional.Count > 1)
            throw new JinjaException($"dict expected at most 1 argument, got {arguments.Positional.Count}");
        foreach (object source in arguments.Positional)
        {
            if (source is JinjaDict other)
            {
                context.Charge(other.Count);
                foreach (var (key, value) in other.Items)
                    dict.Set(key, value);
                continue;
            }
            foreach (object item in Operators.Iterate(context, source))
            {
                var pair = Operators.Iterate(context, item).Take(3).ToList();
                if (pair.Count != 2)
                    throw new JinjaException($"dictionary update sequence element has length {pair.Count}; 2 is required");
                dict.Set(pair[0], pair[1]);
            }
        }
        foreach (var (name, value) in arguments.Named)
            dict.Set(name, value);
        return dict;
    }

    private static JinjaNamespace Namespace(RenderContext context, CallArguments arguments)
    {
        var space = new JinjaNamespace();
        foreach (var (key, value) in Dict(context, arguments).Items)
            space.Members[key as string ?? throw new JinjaException("a namespace's names must be strings")] = value;
        return space;
    }

    private static BuiltinFunction Joiner(RenderContext context, CallArguments arguments)
    {
        object separator = arguments.Bind("joiner", 0, "sep")[0] ?? ", ";
        bool wasUsed = false;
        return new BuiltinFunction("joiner", (_, _) =>
        {
            object text = wasUsed ? separator : "";
            wasUsed = true;
            return text;
        });
    }
}

/// <summary>What <c>cycler()</c> makes.</summary>
internal sealed class Cycler(IReadOnlyList<object> items)
{
    private int _position;

    /// <summary>A member; null if there is none of this name.</summary>
    public object? Get(string name) => name switch
    {
        "current" => items[_position],
        "next" => new BuiltinFunction(name, (_, _) =>
        {
            object item = items[_position];
            _position = (_position + 1) % items.Count;
            return item;
        }),
        "reset" => new BuiltinFunction(name, (_, _) =>
        {
            _position = 0;
            return JinjaNone.Value;
        }),
        _ => null,
    };
}
