namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>The methods of lists, tuples and mappings. Those that change a value are refused, as in Transformers' sandbox.</summary>
internal static class ContainerMethods
{
    /// <summary>Methods of lists that the sandbox refuses.</summary>
    public static IReadOnlySet<string> ThatChangeLists { get; } = new HashSet<string> { "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove" };

    /// <summary>Methods of mappings that the sandbox refuses.</summary>
    public static IReadOnlySet<string> ThatChangeDicts { get; } = new HashSet<string> { "clear", "pop", "popitem", "setdefault", "update" };

    /// <summary>Methods of lists and tuples by name.</summary>
    public static IReadOnlyDictionary<string, Func<RenderContext, JinjaList, CallArguments, object>> OfLists { get; } =
        new Dictionary<string, Func<RenderContext, JinjaList, CallArguments, object>>
        {
            ["copy"] = (_, list, _) => list,
            ["count"] = (context, list, arguments) => (long)Matches(context, list, arguments, "count").Count(isMatch => isMatch),
            ["index"] = (context, list, arguments) => Matches(context, list, arguments, "index").ToList().IndexOf(true) is >= 0 and var i
                ? (long)i
                : throw new JinjaException("value is not in list"),
        };

    /// <summary>Methods of mappings by name.</summary>
    public static IReadOnlyDictionary<string, Func<RenderContext, JinjaDict, CallArguments, object>> OfDicts { get; } =
        new Dictionary<string, Func<RenderContext, JinjaDict, CallArguments, object>>
        {
            ["copy"] = (_, dict, _) => dict,
            ["get"] = (_, dict, arguments) => arguments.BindPositional("get", 1, "key", "default") is var values && dict.Get(values[0]!) is { } value
                ? value
                : values[1] ?? JinjaNone.Value,
            ["items"] = (context, dict, arguments) => View(context, dict, arguments, "items", dict.Items.Select(item => (object)JinjaList.Tuple(item.Key, item.Value))),
            ["keys"] = (context, dict, arguments) => View(context, dict, arguments, "keys", dict.Keys),
            ["values"] = (context, dict, arguments) => View(context, dict, arguments, "values", dict.Items.Select(item => item.Value)),
        };

    private static IEnumerable<bool> Matches(RenderContext context, JinjaList list, CallArguments arguments, string method)
    {
        object sought = arguments.BindPositional(method, 1, "value")[0]!;
        return Operators.Iterate(context, list).Select(item => Operators.AreEqual(context, item, sought));
    }

    private static JinjaView View(RenderContext context, JinjaDict dict, CallArguments arguments, string name, IEnumerable<object> items)
    {
        arguments.BindPositional(name, 0);
        context.Charge(dict.Count);
        return new JinjaView($"dict_{name}", [.. items]);
    }
}
