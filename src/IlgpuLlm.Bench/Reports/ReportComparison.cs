namespace IlgpuLlm.Bench.Reports;

/// <summary>Several reports side by side: a row a figure and precision, a column a report; from the second on with its ratio to the first.</summary>
internal static class ReportComparison
{
    private static readonly (string Name, string Format, Func<PrecisionReport, double?> Value)[] Figures =
    [
        ("tokens/s", "N2", p => p.TokensPerSecond?.Mean),
        ("decode tok/s", "N1", p => p.Single?.DecodeTokensPerSecond),
        ("TTFT ms", "N1", p => p.Single?.TtftMs),
        ("ITL p50 ms", "N2", p => p.Single?.InterTokenMs?.P50),
        ("ITL p99 ms", "N2", p => p.Single?.InterTokenMs?.P99),
        ("% of copy", "F1", p => p.Single?.PercentOfCopy),
        ("% of the card's limit", "F1", p => p.Single?.PercentOfLimit),
        ("MB in use", "N1", p => p.TokensPerSecond is null ? null : p.MemoryUsageMb),
        ("likeliest token as reference, %", "F2", p => p.Quality?.Top1Percent),
        ("mean KL, nats", "G3", p => p.Quality?.MeanKl),
        ("perplexity of a text", "F3", p => p.Quality?.TextPerplexity),
    ];

    /// <summary>The columns: each report's model, device and day.</summary>
    public static IReadOnlyList<string> Columns(IReadOnlyList<BenchReport> reports) =>
        ["precision", "figure", .. reports.Select(r => FormattableString.Invariant($"{r.Model.Name}, {r.Machine.DeviceDescription}, {r.Started:yyyy-MM-dd HH:mm}"))];

    /// <summary>The rows; figures that no report has are left out.</summary>
    public static IEnumerable<IReadOnlyList<string>> Rows(IReadOnlyList<BenchReport> reports)
    {
        foreach (string precision in reports.SelectMany(r => r.Precisions).Select(p => p.Precision).Distinct())
        {
            foreach (var figure in Figures)
            {
                var values = reports.Select(r => r.Precisions.FirstOrDefault(p => p.Precision == precision) is { } p ? figure.Value(p) : null).ToList();
                if (values.Any(value => value is not null))
                    yield return [precision, figure.Name, .. values.Select((value, i) => Text(value, i == 0 ? null : values[0], figure.Format))];
            }
        }
        foreach (int batchSize in reports.SelectMany(r => r.Precisions).SelectMany(p => p.Batches).Select(b => b.BatchSize).Distinct().Order())
        {
            foreach (string precision in reports.SelectMany(r => r.Precisions).Where(p => p.Batches.Any(b => b.BatchSize == batchSize)).Select(p => p.Precision).Distinct())
            {
                var values = reports.Select(r => r.Precisions.FirstOrDefault(p => p.Precision == precision)?.Batches.FirstOrDefault(b => b.BatchSize == batchSize)?.DecodeTokensPerSecond).ToList();
                yield return [precision, FormattableString.Invariant($"decode tok/s, {batchSize} sequences"), .. values.Select((value, i) => Text(value, i == 0 ? null : values[0], "N1"))];
            }
        }
    }

    /// <summary>Writes them as a page.</summary>
    /// <exception cref="BenchException">The file cannot be written.</exception>
    public static void WritePage(string path, IReadOnlyList<BenchReport> reports) =>
        new HtmlPage("Reports side by side", $"{reports.Count} runs; x: the ratio to the first one").Table(Columns(reports), Rows(reports)).Save(path);

    private static string Text(double? value, double? first, string format)
    {
        string text = ReportTables.Number(value, format);
        return value is { } v && first is { } f && f != 0 ? FormattableString.Invariant($"{text} ({v / f:F2}x)") : text;
    }
}
