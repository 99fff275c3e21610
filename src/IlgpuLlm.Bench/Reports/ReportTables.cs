using System.Globalization;

namespace IlgpuLlm.Bench.Reports;

/// <summary>The tables of a report, for pages and terminals alike: a column's name and each precision's value.</summary>
internal static class ReportTables
{
    /// <summary>The seed's table, and how near a card's limit each row is.</summary>
    public static readonly IReadOnlyList<string> SeedColumns =
        ["engine", "hardware", "precision", "tokens/s", "MB in use", "weights read, GB/s", "card's limit, GB/s", "% of the limit", "note"];

    /// <summary>Its rows: this run's, then what was published.</summary>
    public static IEnumerable<IReadOnlyList<string>> SeedRows(BenchReport report)
    {
        foreach (var p in report.Precisions)
        {
            if (p.TokensPerSecond is not { } rate)
            {
                yield return [report.Benchmark, report.Machine.DeviceDescription, p.Precision, "-", "-", "-", "-", "-", p.Problem ?? ""];
                continue;
            }
            yield return
            [
                report.Benchmark, report.Machine.DeviceDescription, p.Precision, Rate(rate.Mean, rate.Std), Number(p.MemoryUsageMb, "N2"),
                Number(rate.Mean * p.Single!.WeightBytesPerStep / 1e9, "N1"), Number(report.Machine.LimitGigabytesPerSecond, "N0"), Number(p.Single.SeedPercentOfLimit, "F1"), "",
            ];
        }
        foreach (var p in report.Published)
        {
            yield return
            [
                p.Engine, p.Hardware, p.Precision, Rate(p.TokensPerSecond, p.Std), Number(p.MemoryUsageMb, "N2"), Number(p.TokensPerSecond * p.WeightBytesPerStep / 1e9, "N1"),
                Number(p.LimitGigabytesPerSecond, "N0"), Number(p.PercentOfLimit, "F1"), p.Note.Length > 0 ? $"published; {p.Note}" : "published",
            ];
        }
    }

    /// <summary>What the seed's figure hides.</summary>
    public static readonly IReadOnlyList<(string Column, Func<PrecisionReport, string> Value)> Single =
    [
        ("precision", p => p.Precision),
        ("TTFT ms", p => Number(p.Single!.TtftMs, "N1")),
        ("first request's TTFT ms", p => Number(p.Single!.FirstTtftMs, "N1")),
        ("prefill tok/s", p => Number(p.Single!.PrefillTokensPerSecond, "N0")),
        ("decode tok/s", p => Number(p.Single!.DecodeTokensPerSecond, "N1")),
        ("ITL p50 ms", p => Number(p.Single!.InterTokenMs?.P50, "N2")),
        ("p95", p => Number(p.Single!.InterTokenMs?.P95, "N2")),
        ("p99", p => Number(p.Single!.InterTokenMs?.P99, "N2")),
        ("decode GB/s", p => Number(p.Single!.DecodeGigabytesPerSecond, "N1")),
        ("% of copy", p => Number(p.Single!.PercentOfCopy, "F1")),
        ("% of limit", p => Number(p.Single!.PercentOfLimit, "F1")),
        ("load s", p => Number(p.LoadSeconds, "N2")),
    ];

    /// <summary>Memory in MB.</summary>
    public static readonly IReadOnlyList<(string Column, Func<PrecisionReport, string> Value)> Memory =
    [
        ("precision", p => p.Precision),
        ("weights MB", p => Number(p.Memory!.WeightBytes / 1e6, "N1")),
        ("KV cache MB", p => Number(p.Memory!.KvCacheBytes / 1e6, "N1")),
        ("workspace MB", p => Number(p.Memory!.WorkspaceBytes / 1e6, "N1")),
        ("peak in use MB", p => Number(p.Memory!.PeakBytes / 1e6, "N1")),
    ];

    public static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    private static string Rate(double mean, double std) => FormattableString.Invariant($"{mean:F2} ± {std:F2}");
}
