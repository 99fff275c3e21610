using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary><c>'{} and {name:&gt;8}'.format(a, name=b)</c></summary>
internal static class StringFormat
{
    /// <summary>Writes arguments into a format.</summary>
    public static object Format(RenderContext context, string format, CallArguments arguments)
    {
        context.Charge(format.Length);
        var text = new StringBuilder();
        int numAutomatic = 0;
        for (int i = 0; i < format.Length; i++)
        {
            char c = format[i];
            if (c is '{' or '}' && i + 1 < format.Length && format[i + 1] == c)
            {
                text.Append(c);
                i++;
                continue;
            }
            if (c == '}')
                throw new JinjaException("Single '}' encountered in format string");
            if (c != '{')
            {
                text.Append(c);
                continue;
            }
            int end = format.IndexOf('}', i);
            if (end < 0)
                throw new JinjaException("expected '}' before end of string");
            string field = format[(i + 1)..end];
            if (field.Contains('{', StringComparison.Ordinal))
                throw new JinjaException("nested fields in a format string are not supported");
            string shown = Field(context, field, arguments, ref numAutomatic);
            context.ChargeText(shown.Length);
            context.CheckLength(text.Length + (long)shown.Length);
            text.Append(shown);
            i = end;
        }
        return text.ToString();
    }

    private static string Field(RenderContext context, string field, CallArguments arguments, ref int numAutomatic)
    {
        int colon = field.IndexOf(':', StringComparison.Ordinal);
        string specification = colon < 0 ? "" : field[(colon + 1)..];
        string name = colon < 0 ? field : field[..colon];
        int bang = name.IndexOf('!', StringComparison.Ordinal);
        string conversion = bang < 0 ? "" : name[(bang + 1)..];
        name = bang < 0 ? name : name[..bang];

        int rest = name.AsSpan().IndexOfAny('.', '[');
        string first = rest < 0 ? name : name[..rest];
        object value = Argument(first.Length == 0 ? (numAutomatic++).ToString(CultureInfo.InvariantCulture) : first, arguments);
        while (rest >= 0 && rest < name.Length)
        {
            bool isIndex = name[rest] == '[';
            int end = isIndex ? name.IndexOf(']', rest) : name.AsSpan(rest + 1).IndexOfAny('.', '[') is >= 0 and var next ? rest + 1 + next : name.Length;
            if (end < 0)
                throw new JinjaException("Missing ']' in format string");
            string member = name[(rest + 1)..end];
            value = !isIndex ? Members.GetAttribute(context, value, member)
                : Members.GetItem(context, value, long.TryParse(member, NumberStyles.None, CultureInfo.InvariantCulture, out long index) ? index : member);
            rest = isIndex ? end + 1 : end;
        }
        return conversion switch
        {
            "" => Write(context, value, specification),
            "s" => Write(context, Operators.ToText(context, value), specification),
            "r" or "a" => Write(context, Representation.Of(context, value), specification),
            _ => throw new JinjaException($"Unknown conversion specifier {PythonText.Repr(conversion)}"),
        };
    }

    private static object Argument(string name, CallArguments arguments)
    {
        if (int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
        {
            return index < arguments.Positional.Count
                ? arguments.Positional[index]
                : throw new JinjaException($"Replacement index {index} out of range for positional args tuple");
        }
        return arguments.Named.Find(pair => pair.Key == name).Value ?? throw new JinjaException($"format has no argument {PythonText.Repr(name)}");
    }

    // [[fill]align][sign][0][width][,][.precision][type]
    private static string Write(RenderContext context, object value, string specification)
    {
        if (specification.Length == 0)
            return Operators.ToText(context, value);
        string original = specification;
        string fill = " ";
        char alignment = '\0', sign = '-';
        if (specification.Length > 1 && specification[1] is '<' or '>' or '^')
            (fill, alignment, specification) = (specification[..1], specification[1], specification[2..]);
        else if (specification[0] is '<' or '>' or '^')
            (alignment, specification) = (specification[0], specification[1..]);
        if (specification.Length > 0 && specification[0] is '+' or '-' or ' ')
            (sign, specification) = (specification[0], specification[1..]);
        bool withZeros = specification.StartsWith('0');
        int width = TakeNumber(context, ref specification) ?? 0;
        bool isGrouped = specification.StartsWith(',');
        if (isGrouped)
            specification = specification[1..];
        int? precision = null;
        if (specification.StartsWith('.'))
        {
            specification = specification[1..];
            precision = TakeNumber(context, ref specification) ?? throw new JinjaException("Format specifier missing precision");
        }
        if (specification.Length > 1)
            throw new JinjaException($"Invalid format specifier {PythonText.Repr(original)}");
        char type = specification.Length == 0 ? '\0' : specification[0];

        if (value is string text)
        {
            if (type is not ('\0' or 's') || isGrouped)
                throw new JinjaException($"Unknown format code '{type}' for object of type 'str'");
            string part = precision is { } most && PythonText.Length(text) > most ? string.Concat(PythonText.Characters(text).Take(most)) : text;
            return NumberText.Pad(part, width, alignment == '\0' ? '<' : alignment, withZeros: false, fill);
        }
        object number = Operators.ToNumber(value) ?? throw new JinjaException($"unsupported format string passed to {Operators.TypeName(value)}.__format__");
        string digits = Digits(number, type, precision, isGrouped);
        if (digits[0] != '-' && sign != '-')
            digits = sign + digits;
        return NumberText.Pad(digits, width, alignment == '\0' ? '>' : alignment, withZeros && alignment == '\0', fill);
    }

    private static string Digits(object number, char type, int? precision, bool isGrouped)
    {
        string digits = type switch
        {
            '\0' when number is double d => precision is { } most ? NumberText.Float(d, 'g', most) : PythonText.Repr(d),
            '\0' or 'd' or 'n' or 'x' or 'X' or 'o' or 'b' when number is long => NumberText.Integer(number, type is '\0' or 'n' ? 'd' : type),
            'f' or 'F' or 'e' or 'E' or 'g' or 'G' => NumberText.Float(Operators.ToDouble(number), type, precision ?? 6),
            '%' => NumberText.Float(100 * Operators.ToDouble(number), 'f', precision ?? 6) + "%",
            _ => throw new JinjaException($"Unknown format code '{type}' for object of type '{Operators.TypeName(number)}'"),
        };
        if (!isGrouped)
            return digits;
        int start = digits[0] == '-' ? 1 : 0;
        int end = digits.AsSpan(start).IndexOfAnyExceptInRange('0', '9') is >= 0 and var length ? start + length : digits.Length;
        for (int i = end - 3; i > start; i -= 3)
            digits = digits.Insert(i, ",");
        return digits;
    }

    private static int? TakeNumber(RenderContext context, ref string text)
    {
        int length = text.AsSpan().IndexOfAnyExceptInRange('0', '9');
        length = length < 0 ? text.Length : length;
        if (length == 0)
            return null;
        int number = NumberText.Size(context, text.AsSpan(0, length));
        text = text[length..];
        return number;
    }
}
