using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>
/// The filter <c>tojson</c> as Transformers has it: <c>json.dumps</c> that leaves characters beyond ASCII as they are and escapes no HTML.
/// </summary>
internal sealed class JsonText
{
    private readonly RenderContext _context;
    private readonly StringBuilder _text = new();
    private readonly bool _isAscii;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private readonly bool _sortsKeys;

    private JsonText(RenderContext context, object?[] options)
    {
        _context = context;
        _isAscii = options[0] is { } ascii && Operators.IsTrue(ascii);
        _indent = options[1] switch
        {
            null or JinjaNone => null,
            string text => text,
            { } width => StringMethods.Center(context, "", Operators.ToInteger(width, "indent")),
        };
        _itemSeparator = _indent is null ? ", " : ",";
        _keySeparator = ": ";
        if (options[2] is { } separators and not JinjaNone)
        {
            var pair = Operators.Iterate(context, separators).Take(3).ToList();
            if (pair is not [string item, string key])
                throw new JinjaException("tojson: separators must be two strings");
            (_itemSeparator, _keySeparator) = (item, key);
        }
        _sortsKeys = options[3] is { } sort && Operators.IsTrue(sort);
    }

    /// <summary>Writes a value as JSON.</summary>
    public static object Filter(RenderContext context, object value, CallArguments arguments)
    {
        var json = new JsonText(context, arguments.Bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys"));
        json.Write(value, 0);
        return json._text.ToString();
    }

    private void Write(object value, int level)
    {
        _context.Charge(0);
        _context.CheckLength(_text.Length);
        switch (value)
        {
            case string text:
                WriteString(text);
                break;
            case JinjaList list:
                WriteAll(list.Items, '[', ']', level, item => Write(item, level + 1));
                break;
            case JinjaDict dict:
                var items = dict.Items.Select(item => (Key: Key(item.Key), item.Value)).ToList();
                if (_sortsKeys)
                    items = Sorting.Sort(items, (a, b) => PythonText.Compare(a.Key, b.Key));
                WriteAll(items, '{', '}', level, item =>
                {
                    WriteString(item.Key);
                    _text.Append(_keySeparator);
                    Write(item.Value, level + 1);
                });
                break;
            default:
                _text.Append(Scalar(value) ?? throw new JinjaException($"Object of type {Operators.TypeName(value)} is not JSON serializable"));
                break;
        }
    }

    private static string? Scalar(object value) => value switch
    {
        bool b => b ? "true" : "false",
        JinjaNone => "null",
        long n => n.ToString(CultureInfo.InvariantCulture),
        double d => double.IsFinite(d) ? PythonText.Repr(d) : double.IsNaN(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity",
        _ => null,
    };

    private static string Key(object key) => key as string ?? Scalar(key)
        ?? throw new JinjaException($"keys must be str, int, float, bool or None, not {Operators.TypeName(key)}");

    private void WriteAll<T>(IReadOnlyList<T> items, char begin, char end, int level, Action<T> write) => _context.Nested(() =>
    {
        _text.Append(begin);
        for (int i = 0; i < items.Count; i++)
        {
            _text.Append(i > 0 ? _itemSeparator : "");
            BreakLine(level + 1);
            write(items[i]);
        }
        if (items.Count > 0)
            BreakLine(level);
        return _text.Append(end);
    });

    private void BreakLine(int level)
    {
        if (_indent is null)
            return;
        _context.ChargeText(1 + (long)_indent.Length * level);
        _text.Append('\n');
        for (int i = 0; i < level; i++)
            _text.Append(_indent);
    }

    private void WriteString(string text)
    {
        _context.ChargeText(text.Length);
        _text.Append('"');
        foreach (char c in text)
        {
            int known = "\"\\\n\r\t\f\b".IndexOf(c, StringComparison.Ordinal);
            if (known >= 0)
                _text.Append('\\').Append("\"\\nrtfb"[known]);
            else if (c < ' ' || (_isAscii && c > '~' && c != '\x7f'))
                _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                _text.Append(c);
        }
        _text.Append('"');
    }
}
