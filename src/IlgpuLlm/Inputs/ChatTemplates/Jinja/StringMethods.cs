using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>The methods of strings.</summary>
internal static class StringMethods
{
    private const string LineBreaks = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029";

    /// <summary>All of them by name.</summary>
    public static IReadOnlyDictionary<string, Func<RenderContext, string, CallArguments, object>> All { get; } =
        new Dictionary<string, Func<RenderContext, string, CallArguments, object>>
        {
            ["capitalize"] = (c, s, a) => Plain(c, s, a, Capitalize),
            ["casefold"] = (c, s, a) => Plain(c, s, a, text => text.ToLowerInvariant().Replace("ß", "ss", StringComparison.Ordinal)),
            ["center"] = (c, s, a) => Pad(c, s, a, "center"),
            ["count"] = (c, s, a) => Count(c, s, a),
            ["endswith"] = (c, s, a) => HasEnd(c, s, a, isStart: false),
            ["expandtabs"] = (c, s, a) => ExpandTabs(c, s, a),
            ["find"] = (c, s, a) => Find(c, s, a, "find", isLast: false) ?? -1L,
            ["format"] = StringFormat.Format,
            ["index"] = (c, s, a) => Find(c, s, a, "index", isLast: false) ?? throw new JinjaException("substring not found"),
            ["isalnum"] = (c, s, a) => Every(c, s, a, text => char.IsLetterOrDigit(text, 0) || IsNumeric(text)),
            ["isalpha"] = (c, s, a) => Every(c, s, a, text => char.IsLetter(text, 0)),
            ["isascii"] = (c, s, a) => Plain(c, s, a, text => Ascii.IsValid(text)),
            ["isdecimal"] = (c, s, a) => Every(c, s, a, text => char.IsDigit(text, 0)),
            ["isdigit"] = (c, s, a) => Every(c, s, a, text => char.IsDigit(text, 0) || CharUnicodeInfo.GetDigitValue(text, 0) >= 0),
            ["isidentifier"] = (c, s, a) => Plain(c, s, a, text => text.Length > 0 && !char.IsDigit(text, 0) && text.All(x => x == '_' || char.IsLetterOrDigit(x))),
            ["islower"] = (c, s, a) => Plain(c, s, a, IsLower),
            ["isnumeric"] = (c, s, a) => Every(c, s, a, IsNumeric),
            ["isprintable"] = (c, s, a) => Plain(c, s, a, text => PythonText.Characters(text).All(PythonText.IsPrintable)),
            ["isspace"] = (c, s, a) => Every(c, s, a, text => PythonText.IsSpace(text[0])),
            ["istitle"] = (c, s, a) => Plain(c, s, a, text => text.Any(char.IsLetter) && text == Title(text)),
            ["isupper"] = (c, s, a) => Plain(c, s, a, IsUpper),
            ["join"] = (c, s, a) => Join(c, s, Operators.Iterate(c, a.BindPositional("join", 1, "iterable")[0]!)),
            ["ljust"] = (c, s, a) => Pad(c, s, a, "ljust"),
            ["lower"] = (c, s, a) => Plain(c, s, a, text => text.ToLowerInvariant()),
            ["lstrip"] = (c, s, a) => Strip(c, s, a, "lstrip"),
            ["partition"] = (c, s, a) => Partition(c, s, a, isLast: false),
            ["removeprefix"] = (c, s, a) => Argument(c, s, a, "removeprefix") is var end && s.StartsWith(end, StringComparison.Ordinal) ? s[end.Length..] : s,
            ["removesuffix"] = (c, s, a) => Argument(c, s, a, "removesuffix") is { Length: > 0 } end && s.EndsWith(end, StringComparison.Ordinal) ? s[..^end.Length] : s,
            ["replace"] = (c, s, a) => Replace(c, s, a),
            ["rfind"] = (c, s, a) => Find(c, s, a, "rfind", isLast: true) ?? -1L,
            ["rindex"] = (c, s, a) => Find(c, s, a, "rindex", isLast: true) ?? throw new JinjaException("substring not found"),
            ["rjust"] = (c, s, a) => Pad(c, s, a, "rjust"),
            ["rpartition"] = (c, s, a) => Partition(c, s, a, isLast: true),
            ["rsplit"] = (c, s, a) => Split(c, s, a, isFromEnd: true),
            ["rstrip"] = (c, s, a) => Strip(c, s, a, "rstrip"),
            ["split"] = (c, s, a) => Split(c, s, a, isFromEnd: false),
            ["splitlines"] = (c, s, a) => new JinjaList([.. SplitLines(c, s, a.Bind("splitlines", 0, "keepends")[0] is { } keep && Operators.IsTrue(keep))]),
            ["startswith"] = (c, s, a) => HasEnd(c, s, a, isStart: true),
            ["strip"] = (c, s, a) => Strip(c, s, a, "strip"),
            ["swapcase"] = (c, s, a) => Plain(c, s, a, text => string.Concat(text.Select(x => char.IsUpper(x) ? char.ToLowerInvariant(x) : char.ToUpperInvariant(x)))),
            ["title"] = (c, s, a) => Plain(c, s, a, Title),
            ["upper"] = (c, s, a) => Plain(c, s, a, Upper),
            ["zfill"] = (c, s, a) => ZeroFill(c, s, a),
        };

    /// <summary>Upper case, as Python has it.</summary>
    public static string Upper(string text) => text.ToUpperInvariant().Replace("ß", "SS", StringComparison.Ordinal);

    /// <summary>The first character in upper, the others in lower case.</summary>
    public static string Capitalize(string text)
    {
        int first = text.Length > 1 && char.IsSurrogatePair(text[0], text[1]) ? 2 : Math.Min(1, text.Length);
        return Upper(text[..first]) + text[first..].ToLowerInvariant();
    }

    /// <summary>Whether there are letters with case, and all are of lower case.</summary>
    public static bool IsLower(string text) => text.Any(char.IsLower) && !text.Any(char.IsUpper);

    /// <summary>Whether there are letters with case, and all are of upper case.</summary>
    public static bool IsUpper(string text) => text.Any(char.IsUpper) && !text.Any(char.IsLower);

    /// <summary>Joins texts.</summary>
    public static string Join(RenderContext context, string separator, IEnumerable<object> items)
    {
        var result = new StringBuilder();
        bool isFirst = true;
        int i = 0;
        foreach (object item in items)
        {
            string text = item as string ?? throw new JinjaException($"sequence item {i}: expected str instance, {Operators.TypeName(item)} found");
            context.ChargeText(separator.Length + text.Length);
            context.CheckLength(result.Length + (long)text.Length);
            result.Append(isFirst ? "" : separator).Append(text);
            isFirst = false;
            i++;
        }
        return result.ToString();
    }

    /// <summary>The lines of a text.</summary>
    public static IEnumerable<string> SplitLines(RenderContext context, string text, bool keepsEnds = false)
    {
        context.Charge(text.Length);
        int start = 0;
        while (start < text.Length)
        {
            int end = text.AsSpan(start).IndexOfAny(LineBreaks);
            int next = end < 0 ? text.Length : start + end + (text.AsSpan(start + end).StartsWith("\r\n") ? 2 : 1);
            yield return text[start..(end < 0 || keepsEnds ? next : start + end)];
            start = next;
        }
    }

    /// <summary>Replaces at most so many occurrences; a negative number: all.</summary>
    public static string Replace(RenderContext context, string text, string old, string replacement, long count)
    {
        context.ChargeSearch(text, old);
        var result = new StringBuilder();
        int start = 0;
        // An empty text is found before each character and at the end.
        int at = old.Length == 0 ? 0 : text.IndexOf(old, StringComparison.Ordinal);
        for (; at >= 0 && count != 0; count--)
        {
            context.ChargeText(replacement.Length);
            context.CheckLength(result.Length + (long)replacement.Length + text.Length);
            result.Append(text, start, at - start).Append(replacement);
            start = at + old.Length;
            if (old.Length > 0)
                at = text.IndexOf(old, start, StringComparison.Ordinal);
            else
                at = at >= text.Length ? -1 : at + (at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1);
        }
        return result.Append(text, start, text.Length - start).ToString();
    }

    /// <summary>Puts spaces on both sides, as <c>str.center</c> does.</summary>
    public static string Center(RenderContext context, string text, long width, string fill = " ")
    {
        long missing = Missing(context, text, width);
        long left = missing / 2 + (missing & width & 1);
        return Repeat(fill, left) + text + Repeat(fill, missing - left);
    }

    private static object Plain<T>(RenderContext context, string text, CallArguments arguments, Func<string, T> compute)
        where T : notnull
    {
        arguments.BindPositional("method", 0);
        context.Charge(text.Length);
        return compute(text);
    }

    private static object Every(RenderContext context, string text, CallArguments arguments, Func<string, bool> holds) =>
        Plain(context, text, arguments, s => s.Length > 0 && PythonText.Characters(s).All(holds));

    private static bool IsNumeric(string character) => CharUnicodeInfo.GetNumericValue(character, 0) >= 0;

    private static string Argument(RenderContext context, string text, CallArguments arguments, string method)
    {
        context.Charge(text.Length);
        return Operators.ToString(arguments.BindPositional(method, 1, "affix")[0]!, $"{method}() argument");
    }

    private static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        bool isInside = false;
        foreach (char c in text)
        {
            result.Append(isInside ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c));
            isInside = char.IsLetter(c);
        }
        return result.ToString();
    }

    // How many characters a text lacks to a width, which may be any integer.
    private static long Missing(RenderContext context, string text, long width)
    {
        long missing = Math.Max(0, Math.Max(0, width) - PythonText.Length(text));
        context.CheckLength(missing);
        context.ChargeText(missing + text.Length);
        return missing;
    }

    private static string Repeat(string fill, long count) => fill.Length == 1 ? new string(fill[0], (int)count) : string.Concat(Enumerable.Repeat(fill, (int)count));

    private static string Pad(RenderContext context, string text, CallArguments arguments, string method)
    {
        object?[] values = arguments.BindPositional(method, 1, "width", "fillchar");
        long width = Operators.ToInteger(values[0]!, "the width");
        string fill = values[1] is { } given ? Operators.ToString(given, "the fill character") : " ";
        if (PythonText.Length(fill) != 1)
            throw new JinjaException("The fill character must be exactly one character long");
        if (method == "center")
            return Center(context, text, width, fill);
        long missing = Missing(context, text, width);
        return method == "ljust" ? text + Repeat(fill, missing) : Repeat(fill, missing) + text;
    }

    private static string ZeroFill(RenderContext context, string text, CallArguments arguments)
    {
        long missing = Missing(context, text, Operators.ToInteger(arguments.BindPositional("zfill", 1, "width")[0]!, "the width"));
        int sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + Repeat("0", missing) + text[sign..];
    }

    private static string ExpandTabs(RenderContext context, string text, CallArguments arguments)
    {
        long size = arguments.Bind("expandtabs", 0, "tabsize")[0] is { } given ? Operators.ToInteger(given, "the tab size") : 8;
        var result = new StringBuilder();
        long column = 0;
        foreach (string character in PythonText.Characters(text))
        {
            long width = character != "\t" ? 1 : size > 0 ? size - column % size : 0;
            context.ChargeText(width);
            context.CheckLength(result.Length + width);
            result.Append(character == "\t" ? Repeat(" ", width) : character);
            column = character is "\n" or "\r" ? 0 : column + width;
        }
        return result.ToString();
    }

    // The part between two indices of code points, and where it begins in UTF-16 units.
    private static (string Part, int Offset, long NumSkipped) Part(RenderContext context, string text, object? start, object? end)
    {
        context.Charge(text.Length);
        long length = PythonText.Length(text);
        long from = Bound(start, 0), to = Bound(end, length);
        if (from > to || from > length)
            return ("", -1, 0);
        if (length == text.Length)
            return (text[(int)from..(int)to], (int)from, from);
        int offset = PythonText.Characters(text).Take((int)from).Sum(c => c.Length);
        return (string.Concat(PythonText.Characters(text).Skip((int)from).Take((int)(to - from))), offset, from);

        long Bound(object? bound, long absent)
        {
            if (bound is null or JinjaNone)
                return absent;
            long value = Operators.ToInteger(bound, "slice indices");
            return value < 0 ? Math.Max(0, value + length) : bound == end ? Math.Min(value, length) : value;
        }
    }

    private static object? Find(RenderContext context, string text, CallArguments arguments, string method, bool isLast)
    {
        object?[] values = arguments.BindPositional(method, 1, "sub", "start", "end");
        string sought = Operators.ToString(values[0]!, $"{method}() argument");
        var (part, offset, numSkipped) = Part(context, text, values[1], values[2]);
        if (offset < 0)
            return null;
        context.ChargeSearch(part, sought);
        int at = isLast ? part.LastIndexOf(sought, StringComparison.Ordinal) : part.IndexOf(sought, StringComparison.Ordinal);
        return at < 0 ? null : numSkipped + PythonText.Length(part[..at]);
    }

    private static object Count(RenderContext context, string text, CallArguments arguments)
    {
        object?[] values = arguments.BindPositional("count", 1, "sub", "start", "end");
        string sought = Operators.ToString(values[0]!, "count() argument");
        var (part, offset, _) = Part(context, text, values[1], values[2]);
        context.ChargeSearch(part, sought);
        return offset < 0 ? 0L : sought.Length == 0 ? PythonText.Length(part) + 1L : (long)part.AsSpan().Count(sought);
    }

    private static object HasEnd(RenderContext context, string text, CallArguments arguments, bool isStart)
    {
        string method = isStart ? "startswith" : "endswith";
        object?[] values = arguments.BindPositional(method, 1, "affix", "start", "end");
        var (part, offset, _) = Part(context, text, values[1], values[2]);
        var affixes = values[0] is JinjaList { IsTuple: true } tuple ? tuple.Items : [values[0]!];
        return affixes.Select(affix => affix as string ?? throw new JinjaException($"{method} first arg must be str or a tuple of str, not {Operators.TypeName(affix)}"))
            .Any(affix => Charged(affix) && offset >= 0 && (isStart ? part.StartsWith(affix, StringComparison.Ordinal) : part.EndsWith(affix, StringComparison.Ordinal)));

        bool Charged(string affix)
        {
            context.Charge(Math.Min(affix.Length, part.Length));
            return true;
        }
    }

    private static object Partition(RenderContext context, string text, CallArguments arguments, bool isLast)
    {
        string separator = Argument(context, text, arguments, isLast ? "rpartition" : "partition");
        if (separator.Length == 0)
            throw new JinjaException("empty separator");
        context.ChargeSearch(text, separator);
        int at = isLast ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        return at >= 0 ? JinjaList.Tuple(text[..at], separator, text[(at + separator.Length)..]) : isLast ? JinjaList.Tuple("", "", text) : JinjaList.Tuple(text, "", "");
    }

    private static object Replace(RenderContext context, string text, CallArguments arguments)
    {
        if (arguments.Named.Count > 0)
            throw new JinjaException("str.replace() takes no keyword arguments");
        object?[] values = arguments.Bind("replace", 2, "old", "new", "count");
        return Replace(context, text, Operators.ToString(values[0]!, "replace() argument 1"), Operators.ToString(values[1]!, "replace() argument 2"),
            values[2] is { } count ? Operators.ToInteger(count, "replace() argument 3") : -1);
    }

    private static object Strip(RenderContext context, string text, CallArguments arguments, string method)
    {
        context.Charge(text.Length);
        object? characters = arguments.BindPositional(method, 0, "chars")[0];
        if (characters is null or JinjaNone)
            return method switch { "lstrip" => PythonText.TrimStart(text), "rstrip" => PythonText.TrimEnd(text), _ => PythonText.TrimStart(PythonText.TrimEnd(text)) };
        return Strip(text, Operators.ToString(characters, $"{method} arg"), method != "rstrip", method != "lstrip");
    }

    /// <summary>Removes characters of a set at the ends.</summary>
    public static string Strip(string text, string characters, bool atStart, bool atEnd)
    {
        var set = PythonText.Characters(characters).ToHashSet();
        int start = 0, end = text.Length;
        while (atStart && start < end && First(start) is var first && set.Contains(first))
            start += first.Length;
        while (atEnd && end > start && Last(end) is var last && set.Contains(last))
            end -= last.Length;
        return text[start..end];

        string First(int at) => text.Substring(at, at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1);

        string Last(int at) => at > 1 && char.IsSurrogatePair(text[at - 2], text[at - 1]) ? text[(at - 2)..at] : text[(at - 1)..at];
    }

    private static object Split(RenderContext context, string text, CallArguments arguments, bool isFromEnd)
    {
        object?[] values = arguments.Bind(isFromEnd ? "rsplit" : "split", 0, "sep", "maxsplit");
        long most = values[1] is { } given ? Operators.ToInteger(given, "maxsplit") : -1;
        if (most < 0)
            most = long.MaxValue;
        context.Charge(text.Length);
        var parts = values[0] is null or JinjaNone ? SplitAtSpaces(text, most, isFromEnd)
            : SplitAt(context, text, Operators.ToString(values[0]!, "the separator"), most, isFromEnd);
        context.Charge(parts.Count * 8L);
        return new JinjaList(parts);
    }

    private static List<object> SplitAt(RenderContext context, string text, string separator, long most, bool isFromEnd)
    {
        if (separator.Length == 0)
            throw new JinjaException("empty separator");
        context.ChargeSearch(text, separator);
        List<object> parts = [];
        if (isFromEnd)
        {
            int end = text.Length;
            for (int at; parts.Count < most && (at = text.AsSpan(0, end).LastIndexOf(separator)) >= 0; end = at)
                parts.Add(text[(at + separator.Length)..end]);
            parts.Add(text[..end]);
            parts.Reverse();
            return parts;
        }
        int start = 0;
        for (int at; parts.Count < most && (at = text.IndexOf(separator, start, StringComparison.Ordinal)) >= 0; start = at + separator.Length)
            parts.Add(text[start..at]);
        parts.Add(text[start..]);
        return parts;
    }

    private static List<object> SplitAtSpaces(string text, long most, bool isFromEnd)
    {
        List<object> parts = [];
        if (isFromEnd)
        {
            int end = text.AsSpan().LastIndexOfAnyExcept(PythonText.Spaces) + 1;
            for (int at; parts.Count < most && (at = text.AsSpan(0, end).LastIndexOfAny(PythonText.Spaces)) >= 0;)
            {
                parts.Add(text[(at + 1)..end]);
                end = text.AsSpan(0, at).LastIndexOfAnyExcept(PythonText.Spaces) + 1;
            }
            if (end > 0)
                parts.Add(text[..end]);
            parts.Reverse();
            return parts;
        }
        string rest = PythonText.TrimStart(text);
        int start = 0;
        for (int length; parts.Count < most && start < rest.Length && (length = rest.AsSpan(start).IndexOfAny(PythonText.Spaces)) >= 0;)
        {
            parts.Add(rest.Substring(start, length));
            int next = rest.AsSpan(start + length).IndexOfAnyExcept(PythonText.Spaces);
            start = next < 0 ? rest.Length : start + length + next;
        }
        if (start < rest.Length)
            parts.Add(rest[start..]);
        return parts;
    }
}
