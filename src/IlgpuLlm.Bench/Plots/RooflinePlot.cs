using IlgpuLlm.Bench.Reports;
using ScottPlot;

namespace IlgpuLlm.Bench.Plots;

/// <summary>Computing against reading: where a run stands below the roof that memory and arithmetic make.</summary>
internal static class RooflinePlot
{
    private const double A100Teraflops = 312; // dense float16, data sheet

    public static Figure Of(BenchReport report, IReadOnlyList<PrecisionReport> ran)
    {
        var chart = new Chart("arithmetic intensity (FLOP/byte)", "TFLOP/s", isLogX: true, isLogY: true);
        double flops = report.Model.FlopsPerToken;
        List<(double X, double Y)> all = [];
        var series = ran.Select(p => p.Batches.Count > 0
            ? p.Batches.Select(b => Point(b.DecodeTokensPerSecond * flops, b.DecodeGigabytesPerSecond))
                .Append((1000 * p.Batches[^1].PrefillTeraflops / p.Batches[^1].PrefillGigabytesPerSecond, p.Batches[^1].PrefillTeraflops)).ToList()
            : p.Single!.DecodeTokensPerSecond is { } rate ? [Point(rate * flops, p.Single.DecodeGigabytesPerSecond!.Value)] : []).ToList();
        var peers = report.Published.Select(p => (flops / p.WeightBytesPerStep, p.TokensPerSecond * flops / 1e12)).ToList();
        all.AddRange(series.SelectMany(points => points));
        all.AddRange(peers);
        if (all.Count == 0)
            all.Add((1, 1e-3));
        double left = Math.Pow(10, Math.Floor(Math.Log10(all.Min(p => p.X)))), right = Math.Pow(10, Math.Ceiling(Math.Log10(all.Max(p => p.X)) + 0.01));
        string peak = report.Machine.PeakTeraflops is null ? "" : ", tensor cores (data sheet)";
        chart.Line($"measured copy{peak}", Roof(left, right, report.Machine.CopyGigabytesPerSecond, report.Machine.PeakTeraflops), PlotColors.Ink, hasMarks: false);
        for (int i = 0; i < ran.Count; i++)
        {
            if (series[i].Count > 0)
                chart.Points(ran[i].Precision, series[i], PlotColors.Series(i), MarkerShape.FilledCircle);
        }
        if (peers.Count > 0)
        {
            var first = report.Published[0];
            chart.Line($"{first.Hardware} (data sheet)", Roof(left, right, first.LimitGigabytesPerSecond, A100Teraflops), PlotColors.Other, hasMarks: false, LinePattern.Dashed);
            chart.Points($"{first.Engine}, published", peers, PlotColors.Other, MarkerShape.FilledDiamond);
        }
        return chart.Draw("Roofline", "Decode of one and of several sequences, from left to right, and prefill. Bytes are weights, keys and values that must be read; "
            + "a point on the roof reads as fast as the memory copies. On a CPU, weights that its caches hold may lie above it.");
    }

    private static (double X, double Y) Point(double flopsPerSecond, double gigabytesPerSecond) => (flopsPerSecond / gigabytesPerSecond / 1e9, flopsPerSecond / 1e12);

    private static List<(double X, double Y)> Roof(double left, double right, double gigabytesPerSecond, double? teraflops)
    {
        double slope = gigabytesPerSecond / 1000, knee = (teraflops ?? double.PositiveInfinity) / slope;
        return knee < right ? [(left, left * slope), (knee, teraflops!.Value), (right, teraflops.Value)] : [(left, left * slope), (right, right * slope)];
    }
}
