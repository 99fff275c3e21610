namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>A test: <c>value is name(arguments)</c>.</summary>
internal delegate bool Test(RenderContext context, object value, CallArguments arguments);

/// <summary>The tests of jinja2.</summary>
internal static class Tests
{
    /// <summary>All of them by name.</summary>
    public static IReadOnlyDictionary<string, Test> All { get; } = new Dictionary<string, Test>
    {
        ["boolean"] = (_, v, a) => None(a, v is bool),
        ["callable"] = (_, v, a) => None(a, v is JinjaFunction),
        ["defined"] = (_, v, a) => None(a, v is not Undefined),
        ["divisibleby"] = (c, v, a) => Equals(Operators.ToNumber(Operators.Binary(c, "%", v, a.Bind("divisibleby", 1, "num")[0]!)) is { } r ? Operators.ToDouble(r) : 1, 0.0),
        ["escaped"] = (_, _, a) => None(a, false),
        ["even"] = (c, v, a) => None(a, Parity(c, v) == 0),
        ["false"] = (_, v, a) => None(a, v is false),
        ["filter"] = (_, v, a) => None(a, v is string name && Filters.All.ContainsKey(name)),
        ["float"] = (_, v, a) => None(a, v is double),
        ["in"] = (c, v, a) => Operators.Contains(c, a.Bind("in", 1, "seq")[0]!, v),
        ["integer"] = (_, v, a) => None(a, v is long),
        ["iterable"] = (_, v, a) => None(a, v is string or JinjaList or JinjaDict or JinjaView or JinjaRange or JinjaGenerator or Undefined or LoopVariable),
        ["lower"] = (c, v, a) => None(a, StringMethods.IsLower(Operators.ToText(c, v))),
        ["mapping"] = (_, v, a) => None(a, v is JinjaDict),
        ["none"] = (_, v, a) => None(a, v is JinjaNone),
        ["number"] = (_, v, a) => None(a, v is long or double or bool),
        ["odd"] = (c, v, a) => None(a, Parity(c, v) == 1),
        ["sameas"] = (_, v, a) => IsSame(v, a.Bind("sameas", 1, "other")[0]!),
        ["sequence"] = (_, v, a) => None(a, v is string or JinjaList or JinjaDict or JinjaRange or Undefined),
        ["string"] = (_, v, a) => None(a, v is string),
        ["test"] = (_, v, a) => None(a, v is string name && All!.ContainsKey(name)),
        ["true"] = (_, v, a) => None(a, v is true),
        ["undefined"] = (_, v, a) => None(a, v is Undefined),
        ["upper"] = (c, v, a) => None(a, StringMethods.IsUpper(Operators.ToText(c, v))),
        ["=="] = Comparison("=="),
        ["eq"] = Comparison("=="),
        ["equalto"] = Comparison("=="),
        ["!="] = Comparison("!="),
        ["ne"] = Comparison("!="),
        [">"] = Comparison(">"),
        ["gt"] = Comparison(">"),
        ["greaterthan"] = Comparison(">"),
        [">="] = Comparison(">="),
        ["ge"] = Comparison(">="),
        ["<"] = Comparison("<"),
        ["lt"] = Comparison("<"),
        ["lessthan"] = Comparison("<"),
        ["<="] = Comparison("<="),
        ["le"] = Comparison("<="),
    };

    private static bool None(CallArguments arguments, bool result)
    {
        arguments.Bind("the test", 0);
        return result;
    }

    private static Test Comparison(string operation) => (context, value, arguments) =>
        Operators.Compare(context, operation, value, arguments.Bind("the test", 1, "other")[0]!);

    private static double Parity(RenderContext context, object value) =>
        Operators.ToDouble(Operators.ToNumber(Operators.Binary(context, "%", value, 2L)) ?? throw new JinjaException("not all arguments converted during string formatting"));

    // Python keeps one object of each small integer and of each literal.
    private static bool IsSame(object a, object b) => (a, b) switch
    {
        (long m, long n) => m == n,
        (bool m, bool n) => m == n,
        (string s, string t) => s == t,
        _ => ReferenceEquals(a, b),
    };
}
