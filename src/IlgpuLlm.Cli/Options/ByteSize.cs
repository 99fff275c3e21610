using System.Globalization;

namespace IlgpuLlm.Cli.Options;

/// <summary>Sizes in bytes as people write and read them.</summary>
internal static class ByteSize
{
    private static readonly (string Unit, double Bytes)[] Units =
    [
        ("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("KB", 1e3), ("B", 1),
    ];

    /// <summary>Reads <c>2GiB</c>, <c>1.5 GB</c> or <c>1048576</c>; null for anything else, or what a long does not hold.</summary>
    public static long? Parse(string text)
    {
        double scale = 1;
        var number = text.AsSpan().Trim();
        foreach (var (unit, bytes) in Units)
        {
            if (number.EndsWith(unit, StringComparison.Ordinal))
            {
                scale = bytes;
                number = number[..^unit.Length].TrimEnd();
                break;
            }
        }
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out decimal value))
            return null;
        double size = (double)value * scale;
        return Math.Abs(size) < long.MaxValue ? (long)size : null;
    }

    /// <summary>Shows a size with one decimal, in the largest unit that leaves a digit before the point.</summary>
    public static string Format(long bytes)
    {
        foreach (var (unit, size) in Units.AsSpan(0, 4))
        {
            if (bytes >= size)
                return FormattableString.Invariant($"{bytes / size:N1} {unit}");
        }
        return FormattableString.Invariant($"{bytes} B");
    }
}
