using System.Globalization;
using IlgpuLlm.Bench.Reports;
using ScottPlot;

namespace IlgpuLlm.Bench.Plots;

/// <summary>The plots of a report. A plot without values is left out.</summary>
internal static class ReportPlots
{
    /// <summary>Draws all that there are values for.</summary>
    public static IReadOnlyList<Figure> Of(BenchReport report)
    {
        var ran = report.Precisions.Where(p => p.TokensPerSecond is not null).ToList();
        List<Figure> figures = [];
        if (ran.Count == 0)
            return figures;
        figures.Add(SeedRates(report, ran));
        if (report.Machine.LimitGigabytesPerSecond is not null)
            figures.Add(SharesOfLimit(report, ran));
        if (ran.Any(p => p.Batches.Count > 0))
            figures.Add(DecodeByBatch(ran));
        figures.Add(RooflinePlot.Of(report, ran));
        if (ran.Any(p => p.Single!.InterTokenMs is not null))
            figures.Add(Latencies(ran));
        if (ran.Any(p => p.Quality is not null))
            figures.Add(Quality([.. ran.Where(p => p.Quality is not null)]));
        figures.Add(Memory(ran));
        return figures;
    }

    private static Figure SeedRates(BenchReport report, List<PrecisionReport> ran) => BesidePublished(report, ran, "tokens/s", "N1", p => p.TokensPerSecond!.Mean, p => p.TokensPerSecond)
        .Draw("Tokens per second, one request",
            "New tokens over the wall time of the whole request, prefill, tokenizing and detokenizing included; mean of all repetitions, none left out.", bottom: 0);

    private static Figure SharesOfLimit(BenchReport report, List<PrecisionReport> ran) =>
        BesidePublished(report, ran, "share of the bandwidth limit (%)", "F1", p => p.Single!.SeedPercentOfLimit ?? double.NaN, p => p.PercentOfLimit)
            .Draw("Share of the card's bandwidth, one request",
                "The weights that each token must read, at the rate above, as a share of the memory bandwidth of the card's data sheet: compares engines on different cards.", bottom: 0);

    /// <summary>A bar for each precision, and one for what others published.</summary>
    private static Chart BesidePublished(BenchReport report, List<PrecisionReport> ran, string yLabel, string format, Func<PrecisionReport, double> ours,
        Func<PublishedFigure, double> theirs)
    {
        string[] names = [.. report.Precisions.Select(p => p.Precision)];
        List<(string, IReadOnlyList<double>, Color)> series =
            [(report.Benchmark, [.. names.Select(name => ran.Find(p => p.Precision == name) is { } p ? ours(p) : double.NaN)], PlotColors.Series(0))];
        if (report.Published.Count > 0)
        {
            var first = report.Published[0];
            series.Add(($"{first.Engine} on {first.Hardware} (published)",
                [.. names.Select(name => report.Published.FirstOrDefault(p => p.Precision == name) is { } p ? theirs(p) : double.NaN)], PlotColors.Other));
        }
        return new Chart("precision", yLabel).Groups(names, series, format);
    }

    private static Figure DecodeByBatch(List<PrecisionReport> ran)
    {
        var chart = new Chart("sequences in the batch", "decode rate (tokens/s)", isLogX: true);
        for (int i = 0; i < ran.Count; i++)
        {
            if (ran[i].Batches.Count > 0)
                chart.Line(ran[i].Precision, [.. ran[i].Batches.Select(b => ((double)b.BatchSize, b.DecodeTokensPerSecond))], PlotColors.Series(i));
        }
        int[] sizes = [.. ran.SelectMany(p => p.Batches).Select(b => b.BatchSize).Distinct().Order()];
        chart.Ticks([.. sizes.Select(size => (double)size)], [.. sizes.Select(size => size.ToString(CultureInfo.InvariantCulture))]);
        return chart.Draw("Decode rate by batch", "All sequences together, random prompts, while all of them decode.", bottom: 0);
    }

    private static Figure Latencies(List<PrecisionReport> ran)
    {
        var with = ran.Where(p => p.Single!.InterTokenMs is not null).ToList();
        return new Chart("precision", "time between tokens (ms)").Groups([.. with.Select(p => p.Precision)],
        [
            ("p50", [.. with.Select(p => p.Single!.InterTokenMs!.P50)], PlotColors.Series(0)),
            ("p95", [.. with.Select(p => p.Single!.InterTokenMs!.P95)], PlotColors.Series(1)),
            ("p99", [.. with.Select(p => p.Single!.InterTokenMs!.P99)], PlotColors.Series(2)),
        ], "G3").Draw("Time between tokens, one request", "Percentiles over all tokens of the repetitions after the first.", bottom: 0);
    }

    private static Figure Quality(List<PrecisionReport> ran) => new Chart("precision", "share (%)").Groups([.. ran.Select(p => p.Precision)],
    [
        ("likeliest token is the reference's", [.. ran.Select(p => p.Quality!.Top1Percent)], PlotColors.Series(0)),
        ("leading tokens equal", [.. ran.Select(p => p.Quality!.TokenMatchPercent)], PlotColors.Series(1)),
        ("answers equal", [.. ran.Select(p => 100.0 * p.Quality!.ExactMatches / p.Quality.NumQuestions)], PlotColors.Series(2)),
    ], "F1").Draw("Quality by precision", $"Greedy answers compared with the reference: {ran[0].Quality!.Reference}.", bottom: 0, top: 109);

    private static Figure Memory(List<PrecisionReport> ran)
    {
        (string, Func<MemoryReport, long>, Color)[] parts =
        [
            ("weights", m => m.WeightBytes, PlotColors.Series(0)), ("KV cache", m => m.KvCacheBytes, PlotColors.Series(1)), ("workspace", m => m.WorkspaceBytes, PlotColors.Series(2)),
        ];
        bool isSmall = ran.Max(p => p.Memory!.WeightBytes + p.Memory.KvCacheBytes + p.Memory.WorkspaceBytes) < 1_000_000_000;
        double unit = isSmall ? 1e6 : 1e9;
        return new Chart("precision", isSmall ? "memory (MB)" : "memory (GB)").Stacks([.. ran.Select(p => p.Precision)],
            [.. parts.Select(part => (part.Item1, (IReadOnlyList<double>)[.. ran.Select(p => part.Item2(p.Memory!) / unit)], part.Item3))], "N1")
            .Draw("Memory planned by the engine", "The KV cache takes what the limits leave, whatever the model needs.", bottom: 0);
    }
}
