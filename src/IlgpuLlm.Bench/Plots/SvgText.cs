using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace IlgpuLlm.Bench.Plots;

/// <summary>
/// Makes Skia's SVG fit for pages: Skia places every letter by itself for one font. Here each text becomes one piece with an anchor, so that any font looks right,
/// and the page's font is used.
/// </summary>
internal static partial class SvgText
{
    /// <summary>Rewrites a drawing, to be put into HTML.</summary>
    /// <param name="svg">What Skia wrote.</param>
    /// <param name="title">What it shows, for those who cannot see it.</param>
    public static string ForPage(string svg, string title)
    {
        svg = svg[svg.IndexOf("<svg", StringComparison.Ordinal)..];
        var size = Size().Match(svg);
        string open = $"<svg class=\"plot\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(title)}\" xmlns=\"http://www.w3.org/2000/svg\" "
            + $"xmlns:xlink=\"http://www.w3.org/1999/xlink\" viewBox=\"0 0 {size.Groups["w"].Value} {size.Groups["h"].Value}\">";
        svg = open + svg[(svg.IndexOf('>', StringComparison.Ordinal) + 1)..];
        // Every drawing has the same ids, and a page has several drawings.
        string prefix = new([.. title.Where(char.IsAsciiLetterOrDigit)]);
        svg = svg.Replace(" id=\"", $" id=\"{prefix}-", StringComparison.Ordinal).Replace("url(#", $"url(#{prefix}-", StringComparison.Ordinal)
            .Replace("href=\"#", $"href=\"#{prefix}-", StringComparison.Ordinal);
        return Text().Replace(svg, Anchor).Replace("\t", "", StringComparison.Ordinal).Trim();
    }

    private static string Anchor(Match match)
    {
        double[] xs = Numbers(Xs().Match(match.Value)), ys = Numbers(Ys().Match(match.Value));
        double fontSize = Numbers(FontSize().Match(match.Value)) is [var size] ? size : double.NaN;
        if (xs.Length == 0 || ys.Length == 0 || double.IsNaN(fontSize))
            return match.Value;
        string attributes = Family().Replace(Ys().Replace(Xs().Replace(match.Groups["attributes"].Value, ""), ""), "");
        // Where the first letter begins tells how ScottPlot aligned the text: at the origin, to both sides of it, or before it.
        double before = -xs[0] / MetricsFont.WidthOf(WebUtility.HtmlDecode(match.Groups["text"].Value.Trim()), fontSize);
        string anchor = before < 0.25 ? "start" : before > 0.75 ? "end" : "middle";
        return string.Create(CultureInfo.InvariantCulture, $"<text{attributes} text-anchor=\"{anchor}\" y=\"{ys[0]:0.##}\">{match.Groups["text"].Value.Trim()}</text>");
    }

    private static double[] Numbers(Match list) => [.. list.Groups["list"].Value.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries)
        .Select(number => double.Parse(number, CultureInfo.InvariantCulture))];

    [GeneratedRegex("width=\"(?<w>[\\d.]+)\" height=\"(?<h>[\\d.]+)\">")]
    private static partial Regex Size();

    [GeneratedRegex("<text(?<attributes>[^>]*)>(?<text>[^<]*)</text>")]
    private static partial Regex Text();

    [GeneratedRegex("\\sfont-family=\"[^\"]*\"")]
    private static partial Regex Family();

    [GeneratedRegex("\\sfont-size=\"(?<list>[^\"]*)\"")]
    private static partial Regex FontSize();

    [GeneratedRegex("\\sx=\"(?<list>[^\"]*)\"")]
    private static partial Regex Xs();

    [GeneratedRegex("\\sy=\"(?<list>[^\"]*)\"")]
    private static partial Regex Ys();
}
