using System.Buffers;
using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Text as Python sees it: characters are code points, and what counts as white space and how values are written are its own.</summary>
internal static class PythonText
{
    /// <summary>What <c>str.isspace</c> holds true for.</summary>
    public static readonly SearchValues<char> Spaces = SearchValues.Create([.. Enumerable.Range(0, 0x10000).Select(i => (char)i)
        .Where(c => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f')]);

    /// <summary>Whether it is white space.</summary>
    public static bool IsSpace(char c) => Spaces.Contains(c);

    /// <summary>Removes white space at the beginning.</summary>
    public static string TrimStart(string text)
    {
        int start = text.AsSpan().IndexOfAnyExcept(Spaces);
        return start < 0 ? "" : text[start..];
    }

    /// <summary>Removes white space at the end.</summary>
    public static string TrimEnd(string text) => text[..(text.AsSpan().LastIndexOfAnyExcept(Spaces) + 1)];

    /// <summary>Whether some character takes two UTF-16 units.</summary>
    public static bool HasSurrogates(string text) => text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') >= 0;

    /// <summary>Number of code points.</summary>
    public static int Length(string text)
    {
        int length = text.Length;
        for (int i = 0; i + 1 < text.Length; i++)
        {
            if (char.IsSurrogatePair(text[i], text[i + 1]))
            {
                length--;
                i++;
            }
        }
        return length;
    }

    /// <summary>The text's characters, a string each.</summary>
    public static IEnumerable<string> Characters(string text)
    {
        for (int i = 0; i < text.Length;)
        {
            int length = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]) ? 2 : 1;
            yield return text.Substring(i, length);
            i += length;
        }
    }

    /// <summary>Order by code points.</summary>
    public static int Compare(string a, string b)
    {
        int i = a.AsSpan().CommonPrefixLength(b);
        if (i == a.Length || i == b.Length)
            return a.Length - b.Length;
        // A surrogate stands for a code point above all others.
        bool isHighA = char.IsSurrogate(a[i]), isHighB = char.IsSurrogate(b[i]);
        return isHighA == isHighB ? a[i] - b[i] : isHighA ? 1 : -1;
    }

    /// <summary>A string as Python writes it inside a list.</summary>
    public static string Repr(string text)
    {
        char quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var result = new StringBuilder(text.Length + 2).Append(quote);
        foreach (string character in Characters(text))
        {
            char c = character[0];
            if (c == quote || c == '\\')
                result.Append('\\').Append(c);
            else if (c is '\n' or '\r' or '\t')
                result.Append('\\').Append(c switch { '\n' => 'n', '\r' => 'r', _ => 't' });
            else if (IsPrintable(character))
                result.Append(character);
            else
                result.Append(Escaped(character));
        }
        return result.Append(quote).ToString();
    }

    /// <summary>Whether Python writes a character as it is.</summary>
    public static bool IsPrintable(string character) => character == " " || CharUnicodeInfo.GetUnicodeCategory(character, 0) is not (UnicodeCategory.Control
        or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    /// <summary>A float as Python writes it: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on.</summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        // d.ddddE+xxx with the shortest digits.
        string text = value.ToString("R", CultureInfo.InvariantCulture);
        bool isNegative = text[0] == '-';
        int e = text.IndexOf('E', StringComparison.Ordinal);
        int exponent = e < 0 ? 0 : int.Parse(text.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        string mantissa = text[(isNegative ? 1 : 0)..(e < 0 ? text.Length : e)];
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        int numBeforePoint = (point < 0 ? mantissa.Length : point) + exponent;
        string significant = digits.TrimStart('0');
        numBeforePoint -= digits.Length - significant.Length;
        significant = significant.TrimEnd('0');
        string sign = isNegative ? "-" : "";
        if (significant.Length == 0)
            return sign + "0.0";
        if (numBeforePoint is > 16 or <= -4)
        {
            string rest = significant.Length > 1 ? "." + significant[1..] : "";
            int power = numBeforePoint - 1;
            return $"{sign}{significant[0]}{rest}e{(power < 0 ? '-' : '+')}{Math.Abs(power).ToString("00", CultureInfo.InvariantCulture)}";
        }
        if (numBeforePoint <= 0)
            return $"{sign}0.{new string('0', -numBeforePoint)}{significant}";
        return significant.Length <= numBeforePoint
            ? $"{sign}{significant.PadRight(numBeforePoint, '0')}.0"
            : $"{sign}{significant[..numBeforePoint]}.{significant[numBeforePoint..]}";
    }

    private static string Escaped(string character)
    {
        int code = character.Length == 2 ? char.ConvertToUtf32(character[0], character[1]) : character[0];
        return code <= 0xFF ? $"\\x{code:x2}" : code <= 0xFFFF ? $"\\u{code:x4}" : $"\\U{code:x8}";
    }
}
