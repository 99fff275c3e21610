using System.Globalization;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Numbers as formats write them.</summary>
internal static class NumberText
{
    private const int MaxPrecision = 100;

    /// <summary>A width or precision, which must be within the limits.</summary>
    public static int Size(RenderContext context, ReadOnlySpan<char> digits)
    {
        int size = int.TryParse(digits, CultureInfo.InvariantCulture, out int value) ? value : int.MaxValue;
        context.ChargeText(size);
        return size;
    }

    /// <summary>An integer; floats lose their fraction.</summary>
    public static string Integer(object number, char conversion)
    {
        if (number is double d && !(Math.Abs(d) < 9.2e18))
            throw new JinjaException("a float is too large to be formatted as an integer");
        long value = number is long n ? n : (long)(double)number;
        ulong magnitude = value < 0 ? 0 - (ulong)value : (ulong)value;
        string digits = conversion switch
        {
            'x' => magnitude.ToString("x", CultureInfo.InvariantCulture),
            'X' => magnitude.ToString("X", CultureInfo.InvariantCulture),
            'o' => Octal(magnitude),
            'b' => magnitude.ToString("b", CultureInfo.InvariantCulture),
            _ => magnitude.ToString(CultureInfo.InvariantCulture),
        };
        return value < 0 ? "-" + digits : digits;
    }

    /// <summary>A float.</summary>
    public static string Float(double value, char conversion, int precision)
    {
        if (precision > MaxPrecision)
            throw new JinjaException($"a precision of {precision} exceeds {MaxPrecision}");
        if (!double.IsFinite(value))
            return PythonText.Repr(value);
        if (conversion is 'f' or 'F')
            return value.ToString($"F{precision}", CultureInfo.InvariantCulture);
        if (conversion is 'e' or 'E')
            return value.ToString($"0.{new string('0', precision)}{conversion}+00", CultureInfo.InvariantCulture);
        precision = Math.Max(1, precision);
        string scientific = value.ToString($"E{precision - 1}", CultureInfo.InvariantCulture);
        int exponent = int.Parse(scientific.AsSpan(scientific.IndexOf('E', StringComparison.Ordinal) + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent >= -4 && exponent < precision)
            return value.ToString("0." + new string('#', Math.Max(0, precision - 1 - exponent)), CultureInfo.InvariantCulture);
        return value.ToString($"0.{new string('#', precision - 1)}{(conversion == 'g' ? 'e' : 'E')}+00", CultureInfo.InvariantCulture);
    }

    private static string Octal(ulong value) => value < 8 ? $"{value}" : Octal(value / 8) + value % 8;

    /// <summary>Fills up to a width; zeros go behind the sign.</summary>
    public static string Pad(string text, int width, char alignment, bool withZeros, string fill = " ")
    {
        int missing = width - PythonText.Length(text);
        if (missing <= 0)
            return text;
        if (withZeros && alignment == '>')
        {
            int sign = text.Length > 0 && text[0] is '-' or '+' or ' ' ? 1 : 0;
            return text[..sign] + new string('0', missing) + text[sign..];
        }
        int left = alignment switch { '<' => 0, '^' => missing / 2, _ => missing };
        return string.Concat(Enumerable.Repeat(fill, left)) + text + string.Concat(Enumerable.Repeat(fill, missing - left));
    }
}
