using System.Globalization;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Numbers in texts, as Python's <c>int</c> and <c>float</c> read them.</summary>
internal static class NumberParsing
{
    /// <summary>An integer in a base from 2 to 36; null: it is none, or needs more than 64 bits.</summary>
    public static object? Integer(string text, long radix)
    {
        int start = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        if (start + 1 < text.Length && text[start] == '0' && char.ToLowerInvariant(text[start + 1]) == radix switch { 16 => 'x', 8 => 'o', 2 => 'b', _ => '\0' })
            start += 2;
        string digits = text[start..].Replace("_", "", StringComparison.Ordinal);
        if (digits.Length == 0 || radix is < 2 or > 36)
            return null;
        Int128 value = 0;
        foreach (char c in digits)
        {
            int digit = char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? char.ToLowerInvariant(c) - 'a' + 10 : 99;
            if (digit >= radix || value > long.MaxValue)
                return null;
            value = value * radix + digit;
        }
        if (text[0] == '-')
            value = -value;
        return value >= long.MinValue && value <= long.MaxValue ? (long)value : null;
    }

    /// <summary>A float; null: it is none.</summary>
    public static double? Float(string text) => text.TrimStart('+', '-').ToLowerInvariant() switch
    {
        "inf" or "infinity" => text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity,
        "nan" => double.NaN,
        // .NET's own words for these are none of Python's.
        _ when text.Any(c => char.IsLetter(c) && c is not ('e' or 'E')) => null,
        _ => double.TryParse(text.Replace("_", "", StringComparison.Ordinal), NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : null,
    };
}
