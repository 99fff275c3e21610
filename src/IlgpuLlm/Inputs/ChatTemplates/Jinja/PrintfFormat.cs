using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary><c>'%s and %d' % (a, b)</c></summary>
internal static class PrintfFormat
{
    /// <summary>Writes values into a format.</summary>
    /// <param name="context">The rendering.</param>
    /// <param name="format">The format.</param>
    /// <param name="values">The values in order.</param>
    /// <param name="named">The values of <c>%(name)s</c>, or null.</param>
    public static string Format(RenderContext context, string format, IReadOnlyList<object> values, JinjaDict? named)
    {
        context.Charge(format.Length);
        var text = new StringBuilder();
        int numUsed = 0;
        bool usesNames = false;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }
            object? value = null;
            if (++i < format.Length && format[i] == '(')
            {
                int end = format.IndexOf(')', i);
                if (end < 0)
                    throw new JinjaException("incomplete format key");
                string name = format[(i + 1)..end];
                value = (named ?? throw new JinjaException("format requires a mapping")).Get(name) ?? throw new JinjaException($"{PythonText.Repr(name)}");
                usesNames = true;
                i = end + 1;
            }
            int start = i;
            while (i < format.Length && "#0- +".Contains(format[i], StringComparison.Ordinal))
                i++;
            string flags = format[start..i];
            int width = Number(context, format, ref i) ?? 0;
            int? precision = null;
            if (i < format.Length && format[i] == '.')
            {
                i++;
                precision = Number(context, format, ref i) ?? 0;
            }
            if (i >= format.Length)
                throw new JinjaException("incomplete format");
            if (format[i] == '%')
            {
                text.Append('%');
                continue;
            }
            value ??= numUsed < values.Count ? values[numUsed++] : throw new JinjaException("not enough arguments for format string");
            string shown = NumberText.Pad(Convert(context, format[i], value, precision, flags), width, flags.Contains('-', StringComparison.Ordinal) ? '<' : '>',
                flags.Contains('0', StringComparison.Ordinal) && value is not string);
            context.ChargeText(shown.Length);
            context.CheckLength(text.Length + (long)shown.Length);
            text.Append(shown);
        }
        return numUsed < values.Count && !usesNames && named is null
            ? throw new JinjaException("not all arguments converted during string formatting")
            : text.ToString();
    }

    private static string Convert(RenderContext context, char conversion, object value, int? precision, string flags)
    {
        switch (conversion)
        {
            case 's' or 'r' or 'a':
                string shown = conversion == 's' ? Operators.ToText(context, value) : Representation.Of(context, value);
                return precision is { } most && PythonText.Length(shown) > most ? string.Concat(PythonText.Characters(shown).Take(most)) : shown;
            case 'c':
                return value is string { Length: 1 or 2 } character ? character : throw new JinjaException("%c requires int or char");
        }
        if (value is Undefined undefined)
            throw undefined.Error();
        object number = Operators.ToNumber(value) ?? throw new JinjaException($"%{conversion} format: a real number is required, not {Operators.TypeName(value)}");
        string digits = conversion switch
        {
            'd' or 'i' or 'u' => NumberText.Integer(number, 'd'),
            'x' or 'X' or 'o' => NumberText.Integer(number is long ? number : throw new JinjaException($"%{conversion} format: an integer is required, not float"), conversion),
            'f' or 'F' or 'e' or 'E' or 'g' or 'G' => NumberText.Float(Operators.ToDouble(number), conversion, precision ?? 6),
            _ => throw new JinjaException($"unsupported format character {PythonText.Repr(conversion.ToString())}"),
        };
        return digits[0] == '-' ? digits : flags.Contains('+', StringComparison.Ordinal) ? "+" + digits : flags.Contains(' ', StringComparison.Ordinal) ? " " + digits : digits;
    }

    private static int? Number(RenderContext context, string format, ref int i)
    {
        int start = i;
        while (i < format.Length && char.IsAsciiDigit(format[i]))
            i++;
        return start == i ? null : NumberText.Size(context, format.AsSpan(start, i - start));
    }
}
