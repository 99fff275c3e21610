using System.Diagnostics;
using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates;

namespace IlgpuLlm.Tests.Inputs.ChatTemplates;

/// <summary>Templates that would take all time or memory, and those that reach for what is not theirs.</summary>
[TestClass]
public sealed class ChatTemplateLimitTests
{
    [TestMethod]
    [DataRow("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "steps")]
    [DataRow("{% for a in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", "")]
    [DataRow("{% set x = 'x' %}{% for a in range(99) %}{% set ns = namespace(x=x) %}{% endfor %}{{ 'x' * 9223372036854775807 }}", "characters")]
    [DataRow("{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "steps")]
    [DataRow("{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", "steps")]
    [DataRow("{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}", "")]
    [DataRow("{% set n = namespace(x=[1], y=[1]) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}", "steps")]
    [DataRow("{% set n = namespace(x=(1,)) %}{% for a in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {n.x: 1} }}", "steps")]
    [DataRow("{% set n = namespace(x=1) %}{% for a in range(9999) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x | tojson }}", "nested deeper")]
    [DataRow("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper")]
    [DataRow("{% macro m(n) %}{{ m(n + 1) ~ m(n + 1) if n < 40 }}{% endmacro %}{{ m(0) }}", "steps")]
    [DataRow("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested deeper")]
    [DataRow("{{ ''.center(999999999999) }}", "characters")]
    [DataRow("{{ '%999999999d' % 1 }}", "characters")]
    [DataRow("{{ '{:999999999}'.format(1) }}", "characters")]
    [DataRow("{{ 'x' | indent(999999999, true) }}", "characters")]
    [DataRow("{{ [1] | batch(999999999, 0) | list }}", "characters")]
    [DataRow("{{ [1] | slice(999999999) | list }}", "characters")]
    [DataRow("{{ [[1]] | tojson(indent=999999999) }}", "characters")]
    [DataRow("{{ ('x' * 100000).replace('', 'y' * 100000) }}", "steps")]
    [DataRow("{{ '\t\t'.expandtabs(999999999) }}", "characters")]
    [DataRow("{{ ('<' * 3000000)|escape }}", "characters", 4_000_000)]
    [DataRow("{{ ('<%' * 1000000)|urlencode }}", "characters", 4_000_000)]
    [DataRow("{{ ('a' * 400000 ~ 'b' ~ 'a' * 400000) in ('a' * 400000 ~ 'b' * 400000) * 2 }}", "steps")]
    [DataRow("{{ ('a' * 400000 ~ 'b' * 400000 + 'a').replace('a' * 300000 ~ 'b' ~ 'a' * 300000, '') }}", "steps")]
    [DataRow("{{ 'x'.join(('a' * 400000 ~ 'b' * 400000).split('a' * 300000 ~ 'b' ~ 'a' * 300000)) }}", "steps")]
    [DataRow("{% set x = 'a' * 3000000 %}{% for i in range(99999) %}{{ x[0] }}{% endfor %}", "steps")]
    [DataRow("{% set x = 'a' * 300000 %}{% set y = (x ~ 'b',) * 90000 %}{{ (x ~ 'c').startswith(y) }}", "steps")]
    [DataRow("{% set a = range(99999)|list %}{% set b = range(99999)|list %}{% for i in range(99999) %}{% set c = a == b %}{% endfor %}", "steps")]
    [DataRow("{% set a = range(99999)|list %}{% set b = range(99999)|list %}{% for i in range(99999) %}{% set c = a < b %}{% endfor %}", "steps")]
    [DataRow("{% set a = {'k': range(99999)|list} %}{% set b = {'k': range(99999)|list} %}{% for i in range(99999) %}{% set c = a == b %}{% endfor %}", "steps")]
    [DataRow("{{ 10 ** 10 ** 10 }}", "64 bits")]
    [DataRow("{{ range(9999999) }}", "Range too big")]
    [DataRow("{{ [].append(1) }}", "access to attribute 'append' of 'list' object is unsafe.")]
    [DataRow("{{ {}.update(a=1) }}", "access to attribute 'update' of 'dict' object is unsafe.")]
    [DataRow("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe.")]
    [DataRow("{% include 'x' %}", "not supported")]
    public void Render_TooMuch_IsRefusedSoon(string template, string problem, int maxOutputLength = 16_000_000)
    {
        // Fewer steps than by default, since other tests want the machine too.
        var limits = new ChatTemplateLimits { MaxSteps = 500_000, MaxOutputLength = maxOutputLength };
        var watch = Stopwatch.StartNew();
        string message = Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse(template, limits: limits).Render([])).Message;
        StringAssert.Contains(message, problem);
        StringAssert.StartsWith(message, "chat template: line 1: ");
        Assert.IsLessThan(10, watch.Elapsed.TotalSeconds, "seconds");
    }

    [TestMethod]
    [DataRow("{{ ('<' * 1000000)|striptags|length }}", "1000000")]
    [DataRow("{{ ('<!--' * 300000)|striptags|length }}", "1200000")]
    [DataRow("{{ ('<!--' * 300000 ~ 'a>b')|striptags }}", "b")]
    [DataRow("{{ ('a ' * 200000).rsplit()|length }}", "200000")]
    [DataRow("{{ ('a ' * 200000).rsplit(none, 3) == [('a ' * 199997)[:-1], 'a', 'a', 'a'] }}", "True")]
    [DataRow("{{ (' a' * 200000).split()|length }}", "200000")]
    public void Render_LongTexts_TakesTimeAsTheirLength(string template, string expected)
    {
        var watch = Stopwatch.StartNew();
        Assert.AreEqual(expected, ChatTemplate.Parse(template).Render([]));
        Assert.IsLessThan(5, watch.Elapsed.TotalSeconds, "seconds");
    }

    [TestMethod]
    [DataRow("(")]
    [DataRow("[")]
    [DataRow("not ")]
    [DataRow("-")]
    [DataRow("1 if 1 else ")]
    [DataRow("a[")]
    [DataRow("1 + ")]
    [DataRow("{% if 1 %}")]
    public void Parse_VeryDeep_IsATypedError(string piece)
    {
        string template = piece[0] == '{' ? string.Concat(Enumerable.Repeat(piece, 20_000)) : $"{{{{ {string.Concat(Enumerable.Repeat(piece, 20_000))}1 }}}}";
        Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse(template).Render([]));
    }

    [TestMethod]
    public void Render_Limits_AreThoseGiven()
    {
        var limits = new ChatTemplateLimits { MaxOutputLength = 10 };
        Assert.AreEqual("1234567890", ChatTemplate.Parse("12345{{ 67890 }}", limits: limits).Render([]));
        Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse("12345{{ 678901 }}", limits: limits).Render([]));
    }

    [TestMethod]
    public void Render_Error_NamesTemplateAndLine()
    {
        var error = Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse("a\nb\n{{ raise_exception('no ' ~ 1) }}", "file.jinja").Render([]));
        Assert.AreEqual(("file.jinja", 3, "no 1", "file.jinja: line 3: no 1"), (error.Template, error.Line, error.Problem, error.Message));
        error = Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse("a\n{% if 1 %}\n{% endfor %}", "t"));
        Assert.AreEqual((3, "Encountered unknown tag 'endfor'."), (error.Line, error.Problem));
    }

    [TestMethod]
    public void Render_DeepJson_IsRefused()
    {
        var deep = JsonDocument.Parse(new string('[', 5000) + new string(']', 5000), new JsonDocumentOptions { MaxDepth = 6000 }).RootElement;
        Assert.ThrowsExactly<ChatTemplateException>(() => ChatTemplate.Parse("{{ x }}").Render([new("x", deep)]));
    }
}
