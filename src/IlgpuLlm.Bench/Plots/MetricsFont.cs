using System.Buffers.Binary;
using System.Text;
using ScottPlot;
using SkiaSharp;

namespace IlgpuLlm.Bench.Plots;

/// <summary>
/// A font of widths alone, made here: what a plot needs to lay out its labels is how wide they are, the letters themselves are drawn by whatever shows the SVG. So
/// plots are the same on every machine, also on servers that have no fonts at all, where Skia would find every text to be 0 wide. The widths are those
/// of Helvetica and a fifth more, so that labels do not overlap in wider fonts either.
/// </summary>
internal sealed class MetricsFont : IFontResolver
{
    public const string Name = "IlgpuLlm metrics";

    private const double Room = 1.2;
    private const int UnitsPerEm = 1000, Ascent = 760, Descent = 240, OtherWidth = 556;
    private const char FirstChar = ' ', LastChar = '~';

    // From the space to the tilde.
    private static readonly int[] Widths =
    [
        278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
        1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
        333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
    ];

    private static readonly Lazy<SKTypeface> Typeface = new(() => SKTypeface.FromData(SKData.CreateCopy(Build()))
        ?? throw new InvalidOperationException("Skia does not take the font of widths"));

    private static readonly Lock RegisterLock = new();
    private static bool _isRegistered;

    /// <summary>Makes the font known to ScottPlot.</summary>
    public static void Register()
    {
        lock (RegisterLock)
        {
            if (!_isRegistered)
                Fonts.FontResolvers.Insert(0, new MetricsFont());
            _isRegistered = true;
        }
    }

    /// <summary>How wide a text is.</summary>
    /// <param name="text">The text.</param>
    /// <param name="fontSize">In the units of the result.</param>
    public static double WidthOf(string text, double fontSize) => text.Sum(c => c is >= FirstChar and <= LastChar ? Advance(Widths[c - FirstChar]) : Advance(OtherWidth)) * fontSize / UnitsPerEm;

    public SKTypeface? CreateTypeface(string fontName, FontWeight weight, FontSlant slant, FontSpacing spacing) => fontName == Name ? Typeface.Value : null;

    public SKTypeface? CreateTypeface(string fontName, bool bold, bool italic) => fontName == Name ? Typeface.Value : null;

    /// <summary>A TrueType file: glyph 0 stands for all other characters, none has an outline.</summary>
    private static byte[] Build()
    {
        int numGlyphs = Widths.Length + 1;
        (string Tag, byte[] Data)[] tables =
        [
            ("cmap", Shorts(0, 1, 3, 1, 0, 12, 4, 32, 0, 4, 4, 1, 0, LastChar, 0xFFFF, 0, FirstChar, 0xFFFF, 1 - FirstChar, 1, 0, 0)),
            ("glyf", new byte[4]),
            ("head", [.. Shorts(1, 0, 1, 0, 0, 0, 0x5F0F, 0x3CF5, 0, UnitsPerEm), .. new byte[16], .. Shorts(0, -Descent, 1000, Ascent, 0, 8, 2, 0, 0)]),
            ("hhea", [.. Shorts(1, 0, Ascent, -Descent, 0, Advance(1015), 0, 0, Advance(1015), 1, 0, 0), .. new byte[8], .. Shorts(0, numGlyphs)]),
            ("hmtx", Shorts([.. Widths.Prepend(OtherWidth).SelectMany(width => (int[])[Advance(width), 0])])),
            ("loca", new byte[2 * (numGlyphs + 1)]),
            ("maxp", [.. Shorts(1, 0, numGlyphs), .. new byte[26]]),
            ("name", NameTable()),
            ("post", [.. Shorts(3, 0), .. new byte[28]]),
        ];
        var font = new MemoryStream();
        font.Write(Shorts(1, 0, tables.Length, 128, 3, (tables.Length - 8) * 16));
        int offset = 12 + 16 * tables.Length;
        foreach (var (tag, data) in tables)
        {
            font.Write(Encoding.ASCII.GetBytes(tag));
            foreach (int value in (int[])[0, offset, data.Length]) // checksums are not looked at
            {
                byte[] word = new byte[4];
                BinaryPrimitives.WriteInt32BigEndian(word, value);
                font.Write(word);
            }
            offset += Padded(data.Length);
        }
        foreach (var (_, data) in tables)
        {
            font.Write(data);
            font.Write(new byte[Padded(data.Length) - data.Length]);
        }
        return font.ToArray();
    }

    private static byte[] NameTable()
    {
        byte[] text = Encoding.BigEndianUnicode.GetBytes(Name);
        return [.. Shorts(0, 1, 18, 3, 1, 0x409, 1, text.Length, 0), .. text];
    }

    private static int Advance(int width) => (int)Math.Round(Room * width);

    private static int Padded(int length) => (length + 3) & ~3;

    private static byte[] Shorts(params int[] values)
    {
        byte[] bytes = new byte[2 * values.Length];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(2 * i), unchecked((short)values[i]));
        return bytes;
    }
}
