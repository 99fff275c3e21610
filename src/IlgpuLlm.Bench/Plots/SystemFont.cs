using SkiaSharp;

namespace IlgpuLlm.Bench.Plots;

/// <summary>A font of this machine for pictures, whose letters must be drawn; drawings in SVG leave that to whatever shows them.</summary>
internal static class SystemFont
{
    private static readonly string[] Preferred = ["Helvetica", "Arial", "Segoe UI", "Liberation Sans", "DejaVu Sans", "Noto Sans"];

    /// <summary>A family without serifs where there is one; null: the machine has no fonts at all, as many servers.</summary>
    public static string? Name { get; } = Choose([.. SKFontManager.Default.FontFamilies]);

    /// <summary>The family to take of those that there are; null: there is none.</summary>
    public static string? Choose(IReadOnlyList<string> families) => Preferred.FirstOrDefault(families.Contains)
        ?? families.FirstOrDefault(family => family.Contains("Sans", StringComparison.OrdinalIgnoreCase) && !family.Contains("Mono", StringComparison.OrdinalIgnoreCase))
        ?? families.FirstOrDefault();
}
