using System.Diagnostics;
using System.Text;
using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.ChatTemplates;

/// <summary>Damaged templates: whatever comes with a model, nothing but a typed error, and soon.</summary>
[TestClass]
public sealed class ChatTemplateMutationTests
{
    private const int NumMutations = 10_000;

    private static readonly string[] Own =
    [
        "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' + m['content'] | trim }}{% if not loop.last %}, {% else %}.{% endif %}{% endfor %}",
        "{% macro show(x, deep=0) %}{% if x is mapping %}{% for k, v in x | dictsort %}{{ k }}={{ show(v, deep + 1) }};{% endfor %}{% else %}{{ x }}{% endif %}{% endmacro %}{{ show(messages[0]) }}",
        "{% set ns = namespace(n=0) %}{% for i in range(50) if i % 3 == 0 %}{% set ns.n = ns.n + i ** 2 // 2 %}{% endfor %}{{ ns.n }} {{ 'ab' * 20 }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | tojson(indent=2) }}{{ '%5.2f|%s' | format(1.5, 'x') }}{{ '{:>8}'.format('a') }}",
        "{% set x %}{% filter upper %}text {{ messages[-1].content[::-1] }}{% endfilter %}{% endset %}{{ x.split(' ')[1:] | join('-') }}{%- raw %} {{ raw }} {% endraw -%}{# note #}",
        "{% for n in [[1, [2, [3]]]] recursive %}{{ loop(n) if n is iterable else n }}{% endfor %}{% call(a) dict() %}{{ a }}{% endcall %}",
        "{% with a = 1, b = 2 %}{{ a < b <= 3 and not a in [b] or 'x' not in 'xyz' }}{% endwith %}{{ strftime_now('%d %b %Y') }}{% generation %}{{ bos_token }}{% endgeneration %}",
    ];

    // What makes templates go wrong: delimiters, brackets, recursion, growth.
    private static readonly string[] Tokens =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-%}", "{%- ", "(", ")", "[", "]", "{", "}", "|", ".", ",", ":", "~", "*", "**", "//", "%", "-", "+", "==", "<", "'", "\"", "\\", "\n",
        " if ", " else ", " for x in ", " in ", " is ", " not ", " and ", " or ", "0", "-1", "9223372036854775807", "1e308", "99999999", "none", "true", "loop", "messages", "x",
        "{% for a in messages %}", "{% endfor %}", "{% if 1 %}", "{% endif %}", "{% set x = x ~ x %}", "{% set messages = messages + messages %}", "{% macro m() %}", "{% endmacro %}",
        "{{ m() }}", "range(99999)", "[::-1]", " * 999999999", "|list", "|tojson", "|join", "|center(999999999)", ".split()", ".replace('', 'xx')", "|sort", "|length", "|string",
        "('%99999999d' % 1)", "'{:99999999}'.format(1)", "\uD800", "\U0001F600", "\0",
    ];

    [TestMethod]
    public void ParseRender_MutatedTemplate_OnlyTypedErrorsAndSoon()
    {
        var variables = new Dictionary<string, JsonElement>
        {
            ["messages"] = JsonSerializer.SerializeToElement(new[] { new { role = "user", content = "Héllo 🤗" }, new { role = "assistant", content = "A" } }),
            ["bos_token"] = JsonSerializer.SerializeToElement("<s>"),
            ["eos_token"] = JsonSerializer.SerializeToElement("</s>"),
            ["add_generation_prompt"] = JsonSerializer.SerializeToElement(true),
        };
        var templates = Templates();
        var random = new Random(1);
        // Far less than real conversations are allowed: that such limits hold at all is tested elsewhere.
        var limits = new ChatTemplateLimits { MaxSteps = 200_000, MaxOutputLength = 1_000_000 };
        int numRendered = 0, numRefused = 0;
        var total = Stopwatch.StartNew();
        for (int round = 0; round < NumMutations; round++)
        {
            string template = Mutate(templates, random);
            var watch = Stopwatch.StartNew();
            try
            {
                ChatTemplate.Parse(template, limits: limits).Render(variables);
                numRendered++;
            }
            catch (ChatTemplateException error)
            {
                Assert.IsTrue(error.Line >= 1 && error.Line <= template.Split('\n', '\r').Length, $"round {round}: {error.Message}\n{template}");
                numRefused++;
            }
            catch (Exception error)
            {
                Assert.Fail($"round {round}: {error}\n{template}");
            }
            Assert.IsLessThan(5, watch.Elapsed.TotalSeconds, $"round {round}: seconds\n{template}");
        }
        Assert.IsLessThan(60, total.Elapsed.TotalSeconds, "seconds in all");
        // Both ways are taken often: otherwise the damage would be too little or too much to test anything.
        Assert.IsGreaterThan(NumMutations / 20, numRendered, $"{numRendered} rendered, {numRefused} refused");
        Assert.IsGreaterThan(NumMutations / 4, numRefused, $"{numRendered} rendered, {numRefused} refused");
    }

    // Real templates take part where ../shared is there.
    private static List<string> Templates()
    {
        List<string> templates = [.. Own];
        string folder = Path.Combine(Environment.GetEnvironmentVariable("ILGPULLM_SHARED") ?? Path.Combine(TestData.Root, "..", "shared"), "vectors");
        foreach (var (file, list) in new[] { ("chat_templates_core.json", "templates"), ("chat_templates_llamacpp.json", "cases"), ("jinja_conformance.json", "cases") })
        {
            if (File.Exists(Path.Combine(folder, file)))
                templates.AddRange(TestData.Json(Path.Combine(folder, file)).GetProperty(list).EnumerateArray().Select(row => row.GetProperty("template").GetString()!));
        }
        return templates;
    }

    private static string Mutate(List<string> templates, Random random)
    {
        var text = new StringBuilder(templates[random.Next(templates.Count)]);
        for (int count = random.Next(1, 5); count > 0 && text.Length > 0; count--)
        {
            int position = random.Next(text.Length);
            switch (random.Next(6))
            {
                case 0:
                    text[position] = (char)random.Next(1, 128);
                    break;
                case 1:
                    text.Remove(position, Math.Min(random.Next(1, 12), text.Length - position));
                    break;
                case 2:
                    string other = templates[random.Next(templates.Count)];
                    int start = random.Next(other.Length);
                    text.Insert(position, other.AsSpan(start, Math.Min(random.Next(1, 80), other.Length - start)));
                    break;
                case 3 when random.Next(20) == 0:
                    text.Insert(position, string.Concat(Enumerable.Repeat(Tokens[random.Next(Tokens.Length)], 3000)));
                    break;
                default:
                    text.Insert(position, Tokens[random.Next(Tokens.Length)]);
                    break;
            }
        }
        return text.ToString();
    }
}
