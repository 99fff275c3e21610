namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>A filter: <c>value | name(arguments)</c>.</summary>
internal delegate object Filter(RenderContext context, object value, CallArguments arguments);

/// <summary>The filters of jinja2 that make sense without a browser. This file: their names, and those of texts and numbers.</summary>
internal static partial class Filters
{
    /// <summary>All of them by name.</summary>
    public static IReadOnlyDictionary<string, Filter> All { get; } = new Dictionary<string, Filter>
    {
        ["abs"] = (_, v, a) => NoArguments(a, "abs", Abs(v)),
        ["attr"] = (c, v, a) => Members.GetAttribute(c, v, Operators.ToString(a.Bind("attr", 1, "name")[0]!, "attr() argument")),
        ["batch"] = Batch,
        ["capitalize"] = (c, v, a) => NoArguments(a, "capitalize", StringMethods.Capitalize(Text(c, v))),
        ["center"] = (c, v, a) => StringMethods.Center(c, Text(c, v), a.Bind("center", 0, "width")[0] is { } width ? Operators.ToInteger(width, "the width") : 80),
        ["count"] = Length,
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = DictSort,
        ["e"] = (c, v, a) => NoArguments(a, "escape", Escape(Text(c, v))),
        ["escape"] = (c, v, a) => NoArguments(a, "escape", Escape(Text(c, v))),
        ["filesizeformat"] = FileSize,
        ["first"] = (c, v, a) => NoArguments(a, "first", Operators.Iterate(c, v).FirstOrDefault() ?? new Undefined("No first item, sequence was empty.")),
        ["float"] = ToFloat,
        ["forceescape"] = (c, v, a) => NoArguments(a, "forceescape", Escape(Text(c, v))),
        ["format"] = (c, v, a) => a.Named.Count > 0 && a.Positional.Count > 0
            ? throw new JinjaException("can't handle positional and keyword arguments at the same time")
            : PrintfFormat.Format(c, Text(c, v), a.Positional, a.Named.Count > 0 ? NamedAsDict(c, a) : null),
        ["groupby"] = GroupBy,
        ["indent"] = Indent,
        ["int"] = ToInt,
        ["items"] = Items,
        ["join"] = Join,
        ["last"] = Last,
        ["length"] = Length,
        ["list"] = (c, v, a) => NoArguments(a, "list", new JinjaList(ToList(c, v))),
        ["lower"] = (c, v, a) => NoArguments(a, "lower", Text(c, v).ToLowerInvariant()),
        ["map"] = Map,
        ["max"] = (c, v, a) => Extreme(c, v, a, "max"),
        ["min"] = (c, v, a) => Extreme(c, v, a, "min"),
        ["reject"] = (c, v, a) => Select(c, v, a, byAttribute: false, selects: false),
        ["rejectattr"] = (c, v, a) => Select(c, v, a, byAttribute: true, selects: false),
        ["replace"] = Replace,
        ["reverse"] = Reverse,
        ["round"] = Round,
        ["safe"] = (c, v, a) => NoArguments(a, "safe", Text(c, v)),
        ["select"] = (c, v, a) => Select(c, v, a, byAttribute: false, selects: true),
        ["selectattr"] = (c, v, a) => Select(c, v, a, byAttribute: true, selects: true),
        ["slice"] = Slice,
        ["sort"] = Sort,
        ["string"] = (c, v, a) => NoArguments(a, "string", Text(c, v)),
        ["striptags"] = StripTags,
        ["sum"] = Sum,
        ["title"] = Title,
        ["tojson"] = JsonText.Filter,
        ["trim"] = Trim,
        ["truncate"] = Truncate,
        ["unique"] = Unique,
        ["upper"] = (c, v, a) => NoArguments(a, "upper", StringMethods.Upper(Text(c, v))),
        ["urlencode"] = UrlEncode,
        ["wordcount"] = WordCount,
    };

    private static object NoArguments(CallArguments arguments, string filter, object result)
    {
        arguments.Bind(filter, 0);
        return result;
    }

    private static string Text(RenderContext context, object value)
    {
        string text = Operators.ToText(context, value);
        context.Charge(text.Length);
        return text;
    }

    private static JinjaDict NamedAsDict(RenderContext context, CallArguments arguments)
    {
        var dict = new JinjaDict(context);
        foreach (var (name, value) in arguments.Named)
            dict.Set(name, value);
        return dict;
    }

    private static object Abs(object value) => Operators.ToNumber(value) switch
    {
        long n => n < 0 ? Operators.Sign(n, isMinus: true) : n,
        double d => Math.Abs(d),
        _ => throw (value is Undefined undefined ? undefined.Error() : new JinjaException($"bad operand type for abs(): '{Operators.TypeName(value)}'")),
    };

    private static object Default(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("default", 0, "default_value", "boolean");
        bool isMissing = value is Undefined || (values[1] is { } boolean && Operators.IsTrue(boolean) && !Operators.IsTrue(value));
        return isMissing ? values[0] ?? "" : value;
    }

    private static object ToInt(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("int", 0, "default", "base");
        object absent = values[0] ?? 0L;
        switch (value)
        {
            case Undefined undefined:
                throw undefined.Error();
            case string text:
                string trimmed = PythonText.TrimStart(PythonText.TrimEnd(text));
                long radix = values[1] is { } given ? Operators.ToInteger(given, "the base") : 10;
                return NumberParsing.Integer(trimmed, radix) ?? (NumberParsing.Float(trimmed) is { } number ? Truncated(number) : null) ?? absent;
            default:
                return Operators.ToNumber(value) switch { long n => n, double d => Truncated(d) ?? absent, _ => absent };
        }

        // Beyond 64 bits there is no integer here.
        static object? Truncated(double d) => Math.Abs(d) < 9.2e18 ? (long)d : null;
    }

    private static object ToFloat(RenderContext context, object value, CallArguments arguments)
    {
        object absent = arguments.Bind("float", 0, "default")[0] ?? 0.0;
        return value switch
        {
            Undefined undefined => throw undefined.Error(),
            string text => NumberParsing.Float(PythonText.TrimStart(PythonText.TrimEnd(text))) ?? absent,
            _ => Operators.ToNumber(value) is { } number ? Operators.ToDouble(number) : absent,
        };
    }

    private static object Round(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("round", 0, "precision", "method");
        long precision = values[0] is { } given ? Operators.ToInteger(given, "the precision") : 0;
        string method = values[1] is { } name ? Text(context, name) : "common";
        object number = Operators.ToNumber(value) ?? throw (value is Undefined undefined ? undefined.Error()
            : new JinjaException($"type {Operators.TypeName(value)} doesn't define __round__ method"));
        if (method is not ("common" or "ceil" or "floor"))
            throw new JinjaException("method must be common, ceil or floor");
        if (number is long n && method == "common")
            return precision >= 0 ? n : RoundedToTens(n, -precision);
        double d = Operators.ToDouble(number);
        double scale = Math.Pow(10, precision);
        if (!double.IsFinite(d) || !double.IsFinite(scale) || scale == 0)
            return d;
        if (method == "ceil")
            return Math.Ceiling(d * scale) / scale;
        if (method == "floor")
            return Math.Floor(d * scale) / scale;
        // Python rounds the exact decimal value; "F" prints enough digits of it for every precision that matters.
        return precision is > 0 and <= 22
            ? double.Parse(d.ToString($"F{precision}", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture)
            : precision > 22 ? d : Math.Round(d * scale, MidpointRounding.ToEven) / scale;
    }

    private static object RoundedToTens(long value, long numZeros)
    {
        // Negated, the least integer is itself.
        if (numZeros is > 18 or < 0)
            return 0L;
        decimal scale = (decimal)Math.Pow(10, numZeros);
        decimal rounded = Math.Round(value / scale, MidpointRounding.ToEven) * scale;
        return rounded is >= long.MinValue and <= long.MaxValue ? (long)rounded : throw new JinjaException("the result of round needs more than 64 bits");
    }

    private static object Replace(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("replace", 2, "old", "new", "count");
        return StringMethods.Replace(context, Text(context, value), Text(context, values[0]!), Text(context, values[1]!),
            values[2] is { } count and not JinjaNone ? Operators.ToInteger(count, "count") : -1);
    }

    private static object Title(RenderContext context, object value, CallArguments arguments)
    {
        var result = new System.Text.StringBuilder();
        bool isInside = false;
        foreach (char c in (string)NoArguments(arguments, "title", Text(context, value)))
        {
            bool isBreak = PythonText.IsSpace(c) || c is '-' or '(' or '{' or '[' or '<';
            result.Append(isBreak ? c.ToString() : isInside ? char.ToLowerInvariant(c).ToString() : StringMethods.Upper(c.ToString()));
            isInside = !isBreak;
        }
        return result.ToString();
    }

    private static object Trim(RenderContext context, object value, CallArguments arguments)
    {
        string text = Text(context, value);
        return arguments.Bind("trim", 0, "chars")[0] is { } characters and not JinjaNone
            ? StringMethods.Strip(text, Operators.ToString(characters, "strip arg"), atStart: true, atEnd: true)
            : PythonText.TrimStart(PythonText.TrimEnd(text));
    }

    private static object Truncate(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("truncate", 0, "length", "killwords", "end", "leeway");
        long length = values[0] is { } given ? Operators.ToInteger(given, "length") : 255;
        string end = values[2] is { } text ? Text(context, text) : "...";
        long leeway = values[3] is { } slack and not JinjaNone ? Operators.ToInteger(slack, "leeway") : 5;
        int endLength = PythonText.Length(end);
        if (length < endLength)
            throw new JinjaException($"expected length >= {endLength}, got {length}");
        if (leeway < 0)
            throw new JinjaException($"expected leeway >= 0, got {leeway}");
        string whole = Operators.ToString(value, "truncate() argument");
        context.Charge(whole.Length);
        if (PythonText.Length(whole) - leeway <= length)
            return whole;
        string part = string.Concat(PythonText.Characters(whole).Take((int)length - endLength));
        bool killsWords = values[1] is { } kill && Operators.IsTrue(kill);
        return (killsWords || part.LastIndexOf(' ') is < 0 ? part : part[..part.LastIndexOf(' ')]) + end;
    }

    private static object Indent(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("indent", 0, "width", "first", "blank");
        string indent = values[0] is string given ? given : StringMethods.Center(context, "", values[0] is { } width ? Operators.ToInteger(width, "width") : 4);
        bool first = values[1] is { } f && Operators.IsTrue(f), blank = values[2] is { } b && Operators.IsTrue(b);
        var result = new System.Text.StringBuilder();
        int i = 0;
        foreach (string line in StringMethods.SplitLines(context, Operators.ToString(value, "indent() argument") + "\n"))
        {
            bool isIndented = i == 0 ? first : blank || line.Length > 0;
            context.ChargeText(isIndented ? indent.Length : 0);
            context.CheckLength(result.Length + (long)indent.Length + line.Length);
            result.Append(i++ > 0 ? "\n" : "").Append(isIndented ? indent : "").Append(line);
        }
        return result.ToString();
    }

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace(">", "&gt;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal);

    private static object StripTags(RenderContext context, object value, CallArguments arguments)
    {
        string text = Without(Without((string)NoArguments(arguments, "striptags", Text(context, value)), "<!--", "-->"), "<", ">");
        return System.Net.WebUtility.HtmlDecode(string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));
    }

    // What begins and does not end stays.
    private static string Without(string text, string begin, string end)
    {
        var result = new System.Text.StringBuilder();
        int start = 0;
        while (text.IndexOf(begin, start, StringComparison.Ordinal) is >= 0 and var from && text.IndexOf(end, from, StringComparison.Ordinal) is >= 0 and var to)
        {
            result.Append(text, start, from - start);
            start = to + end.Length;
        }
        return result.Append(text, start, text.Length - start).ToString();
    }

    private static object FileSize(RenderContext context, object value, CallArguments arguments)
    {
        bool isBinary = arguments.Bind("filesizeformat", 0, "binary")[0] is { } binary && Operators.IsTrue(binary);
        double bytes = ToFloat(context, value, CallArguments.Empty) as double? ?? 0;
        double unit = isBinary ? 1024 : 1000;
        if (bytes == 1)
            return "1 Byte";
        if (bytes < unit)
            return $"{NumberText.Integer(bytes, 'd')} Bytes";
        int i = 0;
        for (bytes /= unit; bytes >= unit && i < 7; i++)
            bytes /= unit;
        return $"{NumberText.Float(bytes, 'f', 1)} {"kMGTPEZY"[i..(i + 1)].Replace('k', isBinary ? 'K' : 'k')}{(isBinary ? "iB" : "B")}";
    }

    private static object UrlEncode(RenderContext context, object value, CallArguments arguments)
    {
        arguments.Bind("urlencode", 0);
        if (value is not (JinjaDict or JinjaList))
            return Quote(value).Replace("%2F", "/", StringComparison.Ordinal);
        var pairs = value is JinjaDict dict ? dict.Items.Select(item => (item.Key, item.Value))
            : Operators.Iterate(context, value).Select(item => item is JinjaList { Items: [var key, var other] } ? (key, other) : throw new JinjaException("urlencode needs pairs"));
        return string.Join('&', pairs.Select(pair => $"{Quote(pair.Item1)}={Quote(pair.Item2)}"));

        string Quote(object part) => Uri.EscapeDataString(Text(context, part));
    }

    private static object WordCount(RenderContext context, object value, CallArguments arguments)
    {
        long count = 0;
        bool isInside = false;
        foreach (char c in (string)NoArguments(arguments, "wordcount", Text(context, value)))
        {
            bool isWord = c == '_' || char.IsLetterOrDigit(c);
            count += isWord && !isInside ? 1 : 0;
            isInside = isWord;
        }
        return count;
    }
}
