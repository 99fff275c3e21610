using System.Collections.Concurrent;
using IlgpuLlm.Inputs.ChatTemplates;
using IlgpuLlm.Inputs.ChatTemplates.Jinja;

namespace IlgpuLlm.Tests.Inputs.ChatTemplates;

/// <summary>Every operation with values at the ends of what there is: whatever it makes of them, errors are typed.</summary>
[TestClass]
public sealed class ChatTemplateEdgeTests
{
    private const string Least = "(-9223372036854775807 - 1)";

    private static readonly string[] Values =
    [
        Least, "9223372036854775807", "-2147483649", "2147483648", "-1", "0", "3", "1e308", "-0.5", "(1e308 * 10)", "(1e308 * 10 - 1e308 * 10)", "true", "none", "missing",
        "''", "'abc'", "'a,b c\\n%d{}<&'", "'\U0001F600x\ud800'", "[]", "[3, 'a', none]", "(1, 2)", "{}", "{'a': 1, 2: [3]}", $"range({Least}, 9223372036854775807, 4611686018427387904)",
        "[1, 2]|map('string')", "{'k': 2}.items()", "namespace(a=1)", "range",
    ];

    private static readonly string[] Arguments = [Least, "9223372036854775807", "-1", "0", "2", "70", "1.5", "none", "''", "'a'", "'%s{}'", "[1]", "('a', 'b')", "missing"];

    private static readonly ChatTemplateLimits Limits = new() { MaxSteps = 20_000, MaxOutputLength = 20_000 };

    [TestMethod]
    public void Render_Filters_FailTyped() => Check(Filters.All.Keys.SelectMany(name => Values.SelectMany(value => ArgumentLists().Select(list => $"{value} | {name}{list}"))));

    [TestMethod]
    public void Render_Tests_FailTyped() =>
        Check(IlgpuLlm.Inputs.ChatTemplates.Jinja.Tests.All.Keys.Where(name => char.IsLetter(name[0])).SelectMany(name => Values.SelectMany(value => Arguments.Select(a => $"{value} is {name}({a})").Append($"{value} is {name}"))));

    [TestMethod]
    public void Render_Methods_FailTyped()
    {
        IEnumerable<string> Of(IEnumerable<string> names, string[] values) => names.SelectMany(name => values.SelectMany(value => ArgumentLists().Select(list => $"{value}.{name}{(list.Length == 0 ? "()" : list)}")));
        Check(Of(StringMethods.All.Keys, ["''", "'abcde'", "'a,b c\\n%d{}{0:>9}<&'", "'\U0001F600x\ud800'"])
            .Concat(Of(ContainerMethods.OfLists.Keys, ["[]", "[1, 'a', [none]]", "('a',)"])).Concat(Of(ContainerMethods.OfDicts.Keys, ["{}", "{'a': 1, 2: [3]}"])));
    }

    [TestMethod]
    public void Render_Operators_FailTyped() => Check(((string[])["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", ">=", "in", "not in", "and"])
        .SelectMany(operation => Values.SelectMany(a => Values.Select(b => $"({a}) {operation} ({b})"))).Concat(Values.SelectMany(a => Values.Select(b => $"({a})[{b}]")))
        .Concat(Values.SelectMany(value => (string[])[$"-({value})", $"+({value})", $"not ({value})", $"({value})()", $"({value}).a"])));

    [TestMethod]
    public void Render_Slices_FailTyped()
    {
        string[] bounds = ["", Least, "9223372036854775807", "-1", "0", "2", "-4", "none", "'a'", "missing"];
        Check(Values.SelectMany(value => bounds.SelectMany(start => bounds.SelectMany(stop => bounds.Select(step => $"({value})[{start}:{stop}:{step}]|list|string")))));
    }

    [TestMethod]
    public void Render_Functions_FailTyped() => Check(((string[])["range", "dict", "namespace", "cycler", "joiner", "raise_exception", "strftime_now"])
        .SelectMany(name => ArgumentLists().Append("(1, 2, 3)").Select(list => $"{name}{(list.Length == 0 ? "()" : list)}")
            .Concat(Arguments.SelectMany(a => Arguments.SelectMany(b => Arguments.Select(c => $"{name}({a}, {b}, {c}) | string"))))));

    // The texts are jinja2 3.1.6's.
    [TestMethod]
    [DataRow("{{ range(10)[::2] }}", "range(0, 10, 2)")]
    [DataRow("{{ range(10)[8:1:-3] }}", "range(8, 1, -3)")]
    [DataRow("{{ ('<!--' * 3 ~ 'a>b')|striptags }}", "b")]
    [DataRow("{{ '<a <!-- > --> b>c'|striptags }}", "c")]
    [DataRow("{{ ' a b  c '.rsplit(none, 1) }}", "[' a b', 'c']")]
    [DataRow("{{ ' a b  c '.rsplit() }}", "['a', 'b', 'c']")]
    [DataRow("{{ '   '.rsplit(none, 1) }}", "[]")]
    [DataRow("{{ 'abcde'.ljust(-9223372036854775807 - 1) }}", "abcde")]
    [DataRow("{{ 'abcde'.center(-9223372036854775807 - 1) }}", "abcde")]
    [DataRow("{{ '-1'.zfill(-9223372036854775807 - 1) }}", "-1")]
    [DataRow("{{ 5|round(-9223372036854775807 - 1) }}", "0")]
    [DataRow("{{ range(-9223372036854775807 - 1, 9223372036854775807, 4611686018427387904)[3:0:-1]|list }}", "[4611686018427387904, 0, -4611686018427387904]")]
    public void Render_Ends_AreJinja2s(string template, string expected) => Assert.AreEqual(expected, ChatTemplate.Parse(template).Render([]));

    private static IEnumerable<string> ArgumentLists() => Arguments.Select(a => $"({a})").Prepend("").Concat(Arguments.SelectMany(a => Arguments.Select(b => $"({a}, {b})")));

    private static void Check(IEnumerable<string> expressions)
    {
        int numRendered = 0;
        var failures = new ConcurrentQueue<string>();
        Parallel.ForEach(expressions, expression =>
        {
            try
            {
                ChatTemplate.Parse($"{{{{ {expression} }}}}", limits: Limits).Render([]);
                Interlocked.Increment(ref numRendered);
            }
            catch (ChatTemplateException)
            {
                // What a template may end in.
            }
            catch (Exception e)
            {
                failures.Enqueue($"{expression}: {e.GetType().Name}: {e.Message}");
            }
        });
        Assert.AreEqual(0, failures.Count, string.Join('\n', failures.Take(20)));
        Assert.IsTrue(numRendered > 100, $"{numRendered} expressions have a value");
    }
}
