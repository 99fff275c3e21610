using System.Text.RegularExpressions;
using IlgpuLlm.Bench.Plots;
using ScottPlot;
using SkiaSharp;

namespace IlgpuLlm.Bench.Tests.Plots;

[TestClass]
public sealed partial class ChartTests
{
    [TestMethod]
    public void MetricsFont_InSkia_HasItsWidths()
    {
        var resolver = new MetricsFont();
        using var font = new SKFont(resolver.CreateTypeface(MetricsFont.Name, bold: false, italic: false), 100) { Subpixel = true, LinearMetrics = true };
        foreach (string text in (string[])["i", "W", "decode rate (tokens/s)", "~ !", "\u00B1\u4E2D"])
            Assert.AreEqual(MetricsFont.WidthOf(text, 100), font.MeasureText(text), 0.2, text);
        Assert.IsTrue(MetricsFont.WidthOf("W", 100) > 2 * MetricsFont.WidthOf("i", 100));
        Assert.IsNull(resolver.CreateTypeface("Arial", bold: false, italic: false));
    }

    [TestMethod]
    public void Draw_Svg_IsWellFormedAndDarkPagesKnowAllColours()
    {
        var figure = new Chart("x (ms)", "y <&> (%)").Groups(["a", "b"], [("one", [1, 2], PlotColors.Series(0)), ("two", [3, double.NaN], PlotColors.Other)], "F1")
            .Draw("title \"&\"", "caption", bottom: 0);
        var svg = System.Xml.Linq.XDocument.Parse(figure.Svg);
        var texts = svg.Descendants().Where(e => e.Name.LocalName == "text").ToList();
        foreach (string text in (string[])["x (ms)", "y <&> (%)", "a", "b", "one", "two", "1.0", "2.0", "3.0"])
            Assert.IsTrue(texts.Any(t => t.Value == text), text);
        string dark = PlotColors.DarkRules();
        foreach (Match color in Colour().Matches(figure.Svg))
            StringAssert.Contains(dark, color.Value, "a colour that stays as it is on a dark page");
    }

    [TestMethod]
    public void Draw_Texts_KeepTheirAlignment()
    {
        var svg = System.Xml.Linq.XDocument.Parse(new Chart("x", "y").Line("line", [(1, 0), (2, 7)], PlotColors.Series(0)).Draw("t", "c", bottom: 0).Svg);
        string AnchorOf(string text) => svg.Descendants().First(e => e.Name.LocalName == "text" && e.Value == text).Attribute("text-anchor")!.Value;
        Assert.AreEqual(("middle", "middle", "start", "end"), (AnchorOf("x"), AnchorOf("y"), AnchorOf("line"), AnchorOf("0")));
    }

    [TestMethod]
    public void Draw_LogarithmicAxes_HaveDecades()
    {
        string svg = new Chart("x", "y", isLogX: true, isLogY: true).Points("p", [(0.1, 1), (1000, 10000)], PlotColors.Series(1), MarkerShape.FilledCircle).Draw("t", "c").Svg;
        foreach (string tick in (string[])["0.1", "1,000", "10,000"])
            StringAssert.Contains(svg, $">{tick}</text>");
    }

    [TestMethod]
    public void ToFile_Figure_IsADrawingWithItsOwnStyle()
    {
        var svg = System.Xml.Linq.XDocument.Parse(new Chart("x", "y").Line("line", [(1, 0), (2, 7)], PlotColors.Series(0)).Draw("t", "c").ToFile());
        Assert.AreEqual("svg", svg.Root!.Name.LocalName);
        StringAssert.Contains(svg.Root.Elements().First(e => e.Name.LocalName == "style").Value, "prefers-color-scheme: dark");
    }

    [TestMethod]
    public void ToPng_AfterDraw_ShowsLettersOfAxesLegendAndBars()
    {
        if (SystemFont.Name is null)
            Assert.Inconclusive("this machine has no font");
        int Ink(string axis, string legend, string format)
        {
            var chart = new Chart(axis, axis).Groups(["a", "b"], [(legend, [1, 2], PlotColors.Series(0))], format);
            using var picture = SKBitmap.Decode(chart.Draw("t", "c", bottom: 0).ToPng());
            Assert.AreEqual((1520, 800, SKColors.White), (picture.Width, picture.Height, picture.GetPixel(0, 0)));
            var ink = new SKColor(PlotColors.Ink.R, PlotColors.Ink.G, PlotColors.Ink.B);
            return picture.Pixels.Count(pixel => pixel == ink);
        }
        int without = Ink("", "", "' '");
        foreach (int with in (int[])[Ink("tokens", "", "' '"), Ink("", "tokens", "' '"), Ink("", "", "F6")])
            Assert.IsTrue(with > without + 20, $"{with} pixels with letters, {without} without");
    }

    [TestMethod]
    [DataRow("Liberation Sans", "Cantarell,Liberation Sans,Noto Sans")]
    [DataRow("Open Sans", "DejaVu Serif,Droid Sans Mono,Open Sans")]
    [DataRow("Terminus", "Terminus")]
    public void SystemFont_Families_TakesOneWithoutSerifsWhereThereIsOne(string expected, string families) => Assert.AreEqual(expected, SystemFont.Choose(families.Split(',')));

    [TestMethod]
    public void SystemFont_NoFamilies_IsNone() => Assert.IsNull(SystemFont.Choose([]));

    [GeneratedRegex("(?<=(fill|stroke)=\")#[0-9A-Fa-f]{6}(?=\")|(?<=(fill|stroke)=\")[a-z]+(?<!none)(?=\")")]
    private static partial Regex Colour();
}
