using System.Globalization;
using ScottPlot;
using ScottPlot.Plottables;
using ScottPlot.TickGenerators;

namespace IlgpuLlm.Bench.Plots;

/// <summary>A finished plot.</summary>
/// <param name="Title">Its heading.</param>
/// <param name="Caption">What is to be known to read it.</param>
/// <param name="Svg">The drawing, to be put into HTML.</param>
/// <param name="Chart">What it was drawn from.</param>
internal sealed record Figure(string Title, string Caption, string Svg, Chart Chart)
{
    /// <summary>The picture, on white.</summary>
    public byte[] ToPng() => Chart.ToPng(SystemFont.Name!);

    /// <summary>The drawing with its own style, as a file of its own: light or dark as the reader's system is.</summary>
    public string ToFile()
    {
        int inside = Svg.IndexOf('>', StringComparison.Ordinal) + 1;
        return $"{Svg[..inside]}\n<style>.plot {{ font-family: system-ui, Helvetica, Arial, 'DejaVu Sans', sans-serif; background: #ffffff; }}\n"
            + $"@media (prefers-color-scheme: dark) {{ .plot {{ background: #111827; }}\n{PlotColors.DarkRules()} }}</style>\n{Svg[inside..]}\n";
    }
}

/// <summary>A plot in the style of all reports. Axes carry units.</summary>
internal sealed class Chart
{
    private const int Width = 760, Height = 400, PixelsPerPoint = 2;

    private readonly Plot _plot = new();
    private readonly bool _isLogX, _isLogY;

    /// <param name="xLabel">With unit.</param>
    /// <param name="yLabel">With unit.</param>
    /// <param name="isLogX">Whether x is drawn as its decimal logarithm.</param>
    /// <param name="isLogY">The same for y.</param>
    public Chart(string xLabel, string yLabel, bool isLogX = false, bool isLogY = false)
    {
        MetricsFont.Register();
        (_isLogX, _isLogY) = (isLogX, isLogY);
        _plot.FigureBackground.Color = Colors.Transparent;
        _plot.DataBackground.Color = Colors.Transparent;
        _plot.Axes.Color(PlotColors.Ink);
        _plot.Grid.MajorLineColor = PlotColors.Grid;
        _plot.XLabel(xLabel);
        _plot.YLabel(yLabel);
        _plot.Axes.Bottom.Label.Bold = _plot.Axes.Left.Label.Bold = false;
        _plot.Axes.Bottom.Label.FontSize = _plot.Axes.Left.Label.FontSize = 14;
        _plot.Axes.Right.IsVisible = _plot.Axes.Top.IsVisible = false;
        if (isLogX)
            _plot.Axes.Bottom.TickGenerator = Decades();
        if (isLogY)
            _plot.Axes.Left.TickGenerator = Decades();
    }

    /// <summary>A line with a mark at each point, which the legend names.</summary>
    public Chart Line(string name, IReadOnlyList<(double X, double Y)> points, Color color, bool hasMarks = true, LinePattern? pattern = null)
    {
        var line = _plot.Add.Scatter(points.Select(p => Scale(p.X, _isLogX)).ToArray(), points.Select(p => Scale(p.Y, _isLogY)).ToArray(), color);
        line.LegendText = name;
        line.LineWidth = 2;
        line.LinePattern = pattern ?? LinePattern.Solid;
        line.MarkerSize = hasMarks ? 7 : 0;
        return this;
    }

    /// <summary>Marks without a line.</summary>
    public Chart Points(string name, IReadOnlyList<(double X, double Y)> points, Color color, MarkerShape shape)
    {
        var marks = _plot.Add.Scatter(points.Select(p => Scale(p.X, _isLogX)).ToArray(), points.Select(p => Scale(p.Y, _isLogY)).ToArray(), color);
        marks.LegendText = name;
        marks.LineWidth = 0;
        marks.MarkerSize = 9;
        marks.MarkerShape = shape;
        return this;
    }

    /// <summary>Bars side by side, a group for each category, with their values above them.</summary>
    /// <param name="categories">The groups' names.</param>
    /// <param name="series">A bar in each group; NaN: none.</param>
    /// <param name="format">How values are written.</param>
    public Chart Groups(IReadOnlyList<string> categories, IReadOnlyList<(string Name, IReadOnlyList<double> Values, Color Color)> series, string format)
    {
        double width = 0.8 / series.Count;
        for (int s = 0; s < series.Count; s++)
        {
            int index = s;
            var bars = series[s].Values.Select((value, c) => (Value: value, Position: c + (index - (series.Count - 1) / 2.0) * width)).Where(bar => double.IsFinite(bar.Value))
                .Select(bar => new Bar
                {
                    Position = bar.Position,
                    Value = bar.Value,
                    Size = width * 0.92,
                    FillColor = series[index].Color,
                    LineWidth = 0,
                    Label = bar.Value.ToString(format, CultureInfo.InvariantCulture),
                }).ToArray();
            AddBars(bars, series[s].Name, series[s].Color, hasLabels: true);
        }
        return Categories(categories);
    }

    /// <summary>Bars on top of each other, one for each category, with their sums above them.</summary>
    public Chart Stacks(IReadOnlyList<string> categories, IReadOnlyList<(string Name, IReadOnlyList<double> Values, Color Color)> series, string format)
    {
        double[] bases = new double[categories.Count];
        for (int s = 0; s < series.Count; s++)
        {
            var bars = new List<Bar>();
            for (int c = 0; c < categories.Count; c++)
            {
                double top = bases[c] + series[s].Values[c];
                bars.Add(new Bar
                {
                    Position = c,
                    ValueBase = bases[c],
                    Value = top,
                    Size = 0.5,
                    FillColor = series[s].Color,
                    LineWidth = 0,
                    Label = s == series.Count - 1 ? top.ToString(format, CultureInfo.InvariantCulture) : "",
                });
                bases[c] = top;
            }
            AddBars([.. bars], series[s].Name, series[s].Color, hasLabels: s == series.Count - 1);
        }
        return Categories(categories);
    }

    /// <summary>Names for the values of x.</summary>
    public Chart Ticks(IReadOnlyList<double> positions, IReadOnlyList<string> names)
    {
        _plot.Axes.Bottom.TickGenerator = new NumericManual([.. positions.Select(p => Scale(p, _isLogX))], [.. names]);
        return this;
    }

    /// <summary>Draws it.</summary>
    /// <param name="title">The heading.</param>
    /// <param name="caption">What is to be known to read it.</param>
    /// <param name="bottom">The lowest y; null: as the values want it.</param>
    /// <param name="top">The highest y; null: as the values want it.</param>
    public Figure Draw(string title, string caption, double? bottom = null, double? top = null)
    {
        _plot.Axes.AutoScale();
        var limits = _plot.Axes.GetLimits();
        _plot.Axes.SetLimitsY(bottom ?? limits.Bottom, top ?? limits.Bottom + (limits.Top - limits.Bottom) * 1.06);
        var legend = _plot.ShowLegend(Edge.Top);
        legend.Legend.Orientation = Orientation.Horizontal;
        legend.Legend.BackgroundColor = Colors.Transparent;
        legend.Legend.OutlineWidth = 0;
        legend.Legend.ShadowColor = Colors.Transparent;
        legend.Legend.FontColor = PlotColors.Ink;
        legend.Legend.FontSize = 13;
        SetFont(MetricsFont.Name);
        return new Figure(title, caption, SvgText.ForPage(_plot.GetSvgXml(Width, Height), title), this);
    }

    /// <summary>What was drawn as a PNG file.</summary>
    /// <param name="font">A font with letters.</param>
    public byte[] ToPng(string font)
    {
        SetFont(font);
        _plot.FigureBackground.Color = Colors.White;
        _plot.ScaleFactor = PixelsPerPoint;
        return _plot.GetImageBytes(PixelsPerPoint * Width, PixelsPerPoint * Height, ImageFormat.Png);
    }

    private void SetFont(string name)
    {
        _plot.Font.Set(name);
        _plot.Legend.FontName = name;
        // A label keeps the typeface that was the default when it was made, and that goes before its font's name.
        foreach (var label in _plot.GetPlottables<BarPlot>().Select(bars => bars.ValueLabelStyle).Concat(_plot.Legend.ManualItems.Select(item => item.LabelStyle)))
            (label.FontName, label.Font) = (name, null);
    }

    private void AddBars(Bar[] bars, string name, Color color, bool hasLabels)
    {
        if (bars.Length > 0)
        {
            var plot = _plot.Add.Bars(bars);
            plot.ValueLabelStyle.ForeColor = PlotColors.Ink;
            plot.ValueLabelStyle.FontSize = 12;
            plot.ValueLabelStyle.Bold = false;
            plot.ValueLabelStyle.IsVisible = hasLabels;
        }
        _plot.Legend.ManualItems.Add(new LegendItem { LabelText = name, FillColor = color, LineWidth = 0, OutlineWidth = 0 });
    }

    private Chart Categories(IReadOnlyList<string> names)
    {
        _plot.Axes.Bottom.TickGenerator = new NumericManual([.. names.Select((_, i) => (double)i)], [.. names]);
        _plot.Grid.XAxisStyle.IsVisible = false;
        _plot.Axes.Margins(bottom: 0);
        return this;
    }

    private static double Scale(double value, bool isLog) => isLog ? Math.Log10(value) : value;

    private static NumericAutomatic Decades() => new()
    {
        IntegerTicksOnly = true,
        MinorTickGenerator = new LogMinorTickGenerator(),
        LabelFormatter = exponent => Math.Pow(10, exponent).ToString("#,0.######", CultureInfo.InvariantCulture),
    };
}
