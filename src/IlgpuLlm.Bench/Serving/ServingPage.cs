using System.Globalization;
using IlgpuLlm.Bench.Plots;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Engine;

namespace IlgpuLlm.Bench.Serving;

/// <summary>The latency-throughput curve of a sweep, as a page.</summary>
internal static class ServingPage
{
    /// <summary>The table, for pages and terminals alike.</summary>
    public static (string Column, Func<ServingResult, object?> Value)[] Columns(ServingRequest request)
    {
        string highest = request.Percentiles.Count == 0 ? "-" : FormattableString.Invariant($"p{request.Percentiles.Max()}");
        return
        [
            ("rate req/s", r => r.RequestRate is { } rate ? rate : "inf"), ("completed", r => r.Completed), ("failed", r => r.Failed), ("req/s", r => r.RequestThroughput),
            ("goodput req/s", r => r.RequestGoodput), ("output tok/s", r => r.OutputThroughput), ("total tok/s", r => r.TotalTokenThroughput),
            ("TTFT ms p50", r => r.TtftMs.Median), (highest, r => Last(r.TtftMs)), ("TPOT ms p50", r => r.TpotMs.Median), (highest, r => Last(r.TpotMs)),
            ("ITL ms p50", r => r.ItlMs.Median), (highest, r => Last(r.ItlMs)), ("E2EL ms p50", r => r.E2elMs.Median), (highest, r => Last(r.E2elMs)),
            ("most at a time", r => r.MaxConcurrentRequests),
        ];
    }

    /// <summary>Writes the page.</summary>
    /// <exception cref="BenchException">The file cannot be written.</exception>
    public static void Write(string path, EngineInfo info, ServingRequest request, IReadOnlyList<ServingResult> results)
    {
        var page = new HtmlPage($"Serving {Path.GetFileName(Path.TrimEndingDirectorySeparator(info.ModelFolder))} on {info.DeviceDescription}", FormattableString.Invariant(
            $"{request.NumPrompts} requests at each rate, {request.Distribution.ToString().ToLowerInvariant()} arrivals, {request.InputLen} prompt tokens, {request.OutputLen} new tokens; {DateTimeOffset.Now:yyyy-MM-dd HH:mm zzz}"));
        var columns = Columns(request);
        page.Table(columns.Select(c => c.Column), results.Select(r => columns.Select(c => Text(c.Value(r)))));
        page.Text(request.MaxConcurrency is { } most ? $"At most {most} requests at a time; latencies count from when they were sent." : "Latencies count from the time that a request was due.", "soft");
        page.Heading("Latency by throughput").Figures(Figures(results));
        page.Save(path);
    }

    private static IEnumerable<Figure> Figures(IReadOnlyList<ServingResult> results)
    {
        var done = results.Where(r => r.Completed > 0).OrderBy(r => r.OutputThroughput).ToList();
        if (done.Count == 0)
            yield break;
        yield return Curve("Time to the first token", "time to the first token (ms)", done, r => r.TtftMs);
        yield return Curve("Time per output token", "time per output token (ms)", done, r => r.TpotMs);
        yield return Curve("End-to-end latency", "end-to-end latency (ms)", done, r => r.E2elMs);
    }

    private static Figure Curve(string title, string yLabel, List<ServingResult> done, Func<ServingResult, ServingLatency> latency)
    {
        var chart = new Chart("output throughput (tokens/s)", yLabel);
        chart.Line("p50", Points(done, r => latency(r).Median), PlotColors.Series(0));
        chart.Line("highest percentile", Points(done, r => Last(latency(r))), PlotColors.Series(1));
        return chart.Draw(title, "One point a rate, in the order of the throughput that it reached.", bottom: 0);
    }

    private static List<(double X, double Y)> Points(List<ServingResult> done, Func<ServingResult, double?> value) =>
        [.. done.Where(r => value(r) is not null).Select(r => (r.OutputThroughput, value(r)!.Value))];

    private static double? Last(ServingLatency latency) => latency.Percentiles.Count == 0 ? null : latency.Percentiles.Values.Max();

    private static string Text(object? value) => value switch
    {
        null => "-",
        double number => number.ToString("N2", CultureInfo.InvariantCulture),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
