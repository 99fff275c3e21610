using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Times as <c>strftime</c> writes them in the C locale.</summary>
internal static class DateText
{
    /// <summary>Writes a time; what is no directive stands for itself.</summary>
    public static string Format(RenderContext context, DateTimeOffset time, string format)
    {
        context.ChargeText(format.Length * 8L);
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }
            // glibc's flag for numbers without leading zeros.
            bool isUnpadded = format[i + 1] == '-' && i + 2 < format.Length;
            i += isUnpadded ? 2 : 1;
            string value = Directive(time, format[i]) ?? $"%{(isUnpadded ? "-" : "")}{format[i]}";
            text.Append(isUnpadded && value.Length > 1 ? value.TrimStart('0', ' ') is { Length: > 0 } short_ ? short_ : "0" : value);
        }
        return text.ToString();
    }

    private static string? Directive(DateTimeOffset time, char directive)
    {
        switch (directive)
        {
            case 'D':
                return Net("MM'/'dd'/'yy");
            case 'F':
                return Net("yyyy'-'MM'-'dd");
            case 'T' or 'X':
                return Net("HH':'mm':'ss");
            case 'R':
                return Net("HH':'mm");
            case 'x':
                return Net("MM'/'dd'/'yy");
            case 'c':
                return $"{Net("ddd MMM")} {time.Day,2} {Net("HH':'mm':'ss yyyy")}";
            case 'a':
                return Net("ddd");
            case 'A':
                return Net("dddd");
            case 'b' or 'h':
                return Net("MMM");
            case 'B':
                return Net("MMMM");
            case 'd':
                return Net("dd");
            case 'e':
                return $"{time.Day,2}";
            case 'H':
                return Net("HH");
            case 'I':
                return Net("hh");
            case 'j':
                return time.DayOfYear.ToString("000", CultureInfo.InvariantCulture);
            case 'm':
                return Net("MM");
            case 'M':
                return Net("mm");
            case 'f':
                return Net("ffffff");
            case 'p':
                return Net("tt");
            case 'S':
                return Net("ss");
            case 's':
                return time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            case 'u':
                return time.DayOfWeek == DayOfWeek.Sunday ? "7" : ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture);
            case 'w':
                return ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture);
            case 'U':
                return Week(DayOfWeek.Sunday);
            case 'W':
                return Week(DayOfWeek.Monday);
            case 'V':
                return ISOWeek.GetWeekOfYear(time.DateTime).ToString("00", CultureInfo.InvariantCulture);
            case 'G':
                return ISOWeek.GetYear(time.DateTime).ToString(CultureInfo.InvariantCulture);
            case 'y':
                return Net("yy");
            case 'Y':
                return Net("yyyy");
            // datetime.now() knows of no time zone.
            case 'z' or 'Z':
                return "";
            case 'n':
                return "\n";
            case 't':
                return "\t";
            case '%':
                return "%";
            default:
                return null;
        }

        string Net(string format) => time.ToString(format, CultureInfo.InvariantCulture);

        // The days before the year's first such weekday are week 0.
        string Week(DayOfWeek first) =>
            ((time.DayOfYear + 6 - ((int)time.DayOfWeek - (int)first + 7) % 7) / 7).ToString("00", CultureInfo.InvariantCulture);
    }
}
