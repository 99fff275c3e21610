using IlgpuLlm.Bench.Plots;
using IlgpuLlm.Bench.Quality;

namespace IlgpuLlm.Bench.Reports;

/// <summary>report.html.</summary>
internal static class HtmlReport
{
    public static void Write(BenchReport report, string path)
    {
        var (machine, settings) = (report.Machine, report.Settings);
        var ran = report.Precisions.Where(p => p.TokensPerSecond is not null).ToList();
        var page = new HtmlPage($"{report.Model.Name} on {machine.DeviceDescription}", FormattableString.Invariant(
            $"{report.Benchmark} {report.ProgramVersion}, {report.Started:yyyy-MM-dd HH:mm zzz}, {report.DurationSeconds:F0} s; {machine.OperatingSystem}, {machine.Runtime}, {machine.NumCpuCores} CPU cores"));
        page.Text(FormattableString.Invariant(
            $"{report.Model.Architecture} of {report.Model.NumParameters / 1e6:N1} million parameters{(report.Model.HasRandomWeights ? " with random weights: texts and their quality mean nothing" : "")}. One request at a time, {settings.Repetitions} repetitions, at most {settings.MaxTokens} new tokens, temperature {settings.Temperature}{(settings.IgnoreEos ? ", end of sequence ignored" : "")}. Prompt: \"{settings.Prompt}\". A copy on this device moves {machine.CopyGigabytesPerSecond:N1} GB/s, read and written."));
        foreach (var p in report.Precisions.Where(p => p.Problem is not null))
            page.Text($"{p.Precision} was not measured: {p.Problem}", "bad");
        foreach (var p in report.Precisions.Where(p => p.QualityProblem is not null))
            page.Text($"{p.Precision}: the questions could not be scored: {p.QualityProblem}", "bad");
        page.Heading("The seed's table").Text("Tokens per second over the whole request, without warm-up. The limit is the memory bandwidth of the card's data sheet; "
            + "its percentage compares engines on different cards, by the weights that each token must read.", "soft");
        page.Table(ReportTables.SeedColumns, ReportTables.SeedRows(report));
        if (ran.Count > 0)
        {
            page.Heading("What that figure hides").Text("Medians and percentiles of the repetitions after the first.", "soft").Table(ReportTables.Single, ran);
            page.Heading("Plots").Figures(ReportPlots.Of(report));
            page.Heading("Memory").Text("What the engine planned, and the most that was in use: of the whole card on a GPU; on a CPU how much the process has grown.", "soft")
                .Table(ReportTables.Memory, ran);
        }
        WriteBatches(page, ran, settings);
        WriteQuality(page, [.. ran.Where(p => p.Quality is not null)]);
        page.Save(path);
    }

    private static HtmlPage Table(this HtmlPage page, IReadOnlyList<(string Column, Func<PrecisionReport, string> Value)> columns, IEnumerable<PrecisionReport> rows) =>
        page.Table(columns.Select(c => c.Column), rows.Select(row => columns.Select(c => c.Value(row))));

    private static void WriteBatches(HtmlPage page, IReadOnlyList<PrecisionReport> ran, SettingsReport settings)
    {
        if (ran.All(p => p.Batches.Count == 0))
            return;
        page.Heading("Batches").Text($"Random prompts of {settings.InputLen} tokens, {settings.OutputLen} new tokens each.", "soft");
        page.Table(["precision", "sequences", "TTFT ms", "prefill tok/s", "decode tok/s", "step ms", "decode GB/s", "% of copy"], ran.SelectMany(p => p.Batches.Select(b => (string[])
        [
            p.Precision, ReportTables.Number(b.BatchSize, "N0"), ReportTables.Number(b.TimeToFirstTokenMs, "N1"), ReportTables.Number(b.PrefillTokensPerSecond, "N0"),
            ReportTables.Number(b.DecodeTokensPerSecond, "N1"), ReportTables.Number(b.StepMs, "N2"), ReportTables.Number(b.DecodeGigabytesPerSecond, "N1"),
            ReportTables.Number(b.DecodePercentOfCopy, "F1"),
        ])));
    }

    private static void WriteQuality(HtmlPage page, IReadOnlyList<PrecisionReport> ran)
    {
        if (ran.Count == 0)
            return;
        var first = ran[0].Quality!;
        page.Heading("Quality").Text($"Greedy answers to {first.NumQuestions} questions; reference: {first.Reference}.", "soft");
        page.Table(["score", .. ran.Select(p => p.Precision)], QualityFiles.Scores.Select(score => ran.Select(p => score.Value(p.Quality!)).Prepend(score.Name)));
        page.Heading("Answers").Text("At the questions' own temperatures.", "soft");
        page.Table(["question", .. ran.Select(p => p.Precision), "ground truth"],
            Enumerable.Range(0, first.Answers.Count).Select(q => ran.Select(p => p.Quality!.Answers[q].Actual.Trim()).Prepend(first.Answers[q].Question).Append(first.Answers[q].Expected.Trim())),
            "texts");
    }
}
