using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Values as Python's <c>repr</c> writes them.</summary>
internal static class Representation
{
    /// <summary>Writes a value.</summary>
    public static string Of(RenderContext context, object value)
    {
        var text = new StringBuilder();
        Write(context, value, text);
        return text.ToString();
    }

    private static void Write(RenderContext context, object value, StringBuilder text)
    {
        context.CheckLength(text.Length);
        context.Charge(0);
        switch (value)
        {
            case string s:
                context.ChargeText(s.Length);
                text.Append(PythonText.Repr(s));
                break;
            case bool b:
                text.Append(b ? "True" : "False");
                break;
            case long n:
                text.Append(CultureInfo.InvariantCulture, $"{n}");
                break;
            case double d:
                text.Append(PythonText.Repr(d));
                break;
            case JinjaNone:
                text.Append("None");
                break;
            case Undefined:
                text.Append("Undefined");
                break;
            case JinjaList list:
                WriteItems(context, list.Items, list.IsTuple ? '(' : '[', list.IsTuple ? list.Items.Count == 1 ? ",)" : ")" : "]", text);
                break;
            case JinjaDict dict:
                WriteMembers(context, dict.Items, text);
                break;
            case JinjaView view:
                text.Append(view.TypeName).Append('(');
                WriteItems(context, view.Items, '[', "]", text);
                text.Append(')');
                break;
            case JinjaRange range:
                text.Append(CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop}{(range.Step == 1 ? "" : $", {range.Step}")})");
                break;
            case JinjaNamespace space:
                text.Append("<Namespace ");
                WriteMembers(context, space.Members.Select(member => KeyValuePair.Create<object, object>(member.Key, member.Value)), text);
                text.Append('>');
                break;
            case Macro macro:
                text.Append(CultureInfo.InvariantCulture, $"<Macro {PythonText.Repr(macro.Name)}>");
                break;
            case JinjaFunction function:
                text.Append(CultureInfo.InvariantCulture, $"<function {function.Name}>");
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $"<{Operators.TypeName(value)} object>");
                break;
        }
    }

    private static void WriteItems(RenderContext context, IReadOnlyList<object> items, char begin, string end, StringBuilder text) => context.Nested(() =>
    {
        text.Append(begin);
        for (int i = 0; i < items.Count; i++)
        {
            text.Append(i > 0 ? ", " : "");
            Write(context, items[i], text);
        }
        return text.Append(end);
    });

    private static void WriteMembers(RenderContext context, IEnumerable<KeyValuePair<object, object>> members, StringBuilder text) => context.Nested(() =>
    {
        string separator = "{";
        foreach (var (key, value) in members)
        {
            text.Append(separator);
            Write(context, key, text);
            text.Append(": ");
            Write(context, value, text);
            separator = ", ";
        }
        return text.Append(separator == "{" ? "{}" : "}");
    });
}
