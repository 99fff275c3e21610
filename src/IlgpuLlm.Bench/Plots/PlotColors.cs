using ScottPlot;

namespace IlgpuLlm.Bench.Plots;

/// <summary>
/// The colours of plots, each for light and for dark pages. Plots are drawn in the light ones; the page's style sheet puts the dark ones in their place, since
/// rules go before attributes in SVG.
/// </summary>
internal static class PlotColors
{
    /// <summary>Text and axes.</summary>
    public static readonly Color Ink = Color.FromHex("#1F2937");

    /// <summary>Lines of the grid.</summary>
    public static readonly Color Grid = Color.FromHex("#D6DAE1");

    /// <summary>What others measured.</summary>
    public static readonly Color Other = Color.FromHex("#6B7280");

    private static readonly Color[] All = [Color.FromHex("#1D4ED8"), Color.FromHex("#C2410C"), Color.FromHex("#047857"), Color.FromHex("#7E22CE")];

    // Each has a contrast of at least 4.5 with its page, but for the grid, which should not stand out.
    private static readonly (Color Light, string Dark)[] Pairs =
    [
        (Ink, "#E5E7EB"), (Grid, "#374151"), (Other, "#9CA3AF"), (All[0], "#7DB0FF"), (All[1], "#FB9A5B"), (All[2], "#34D399"), (All[3], "#C79BFF"),
    ];

    /// <summary>The colour of a series.</summary>
    public static Color Series(int index) => All[index % All.Length];

    /// <summary>The rules that make plots dark.</summary>
    public static string DarkRules() => string.Join("\n", Pairs.Select(pair =>
    {
        string light = pair.Light.ToHex();
        return $".plot [fill=\"{light}\" i] {{ fill: {pair.Dark}; }} .plot [stroke=\"{light}\" i] {{ stroke: {pair.Dark}; }}";
    }));
}
