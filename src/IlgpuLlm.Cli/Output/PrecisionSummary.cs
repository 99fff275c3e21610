using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Bench.Reports;
using Spectre.Console;

namespace IlgpuLlm.Cli.Output;

/// <summary>What a run found, on the terminal.</summary>
internal static class PrecisionSummary
{
    /// <summary>Writes the tables of <c>bench precisions</c>.</summary>
    public static void Write(CliConsole console, BenchReport report, string folder)
    {
        var terminal = SpectreConsoles.ForOut(console);
        Table(terminal, ReportTables.SeedColumns, ReportTables.SeedRows(report));
        var ran = report.Precisions.Where(p => p.TokensPerSecond is not null).ToList();
        if (ran.Count > 0)
        {
            Table(terminal, ReportTables.Single.Select(c => c.Column), ran.Select(p => ReportTables.Single.Select(c => c.Value(p))));
            Table(terminal, ReportTables.Memory.Select(c => c.Column), ran.Select(p => ReportTables.Memory.Select(c => c.Value(p))));
        }
        WriteQuality(terminal, [.. ran.Where(p => p.Quality is not null).Select(p => (p.Precision, p.Quality!))]);
        terminal.WriteLine(folder);
    }

    /// <summary>Writes the scores; nothing where there are none.</summary>
    public static void WriteQuality(IAnsiConsole terminal, IReadOnlyList<(string Precision, QualityReport Report)> reports)
    {
        if (reports.Count == 0)
            return;
        terminal.WriteLine($"reference: {reports[0].Report.Reference}");
        Table(terminal, [$"questions: {reports[0].Report.NumQuestions}", .. reports.Select(r => r.Precision)],
            QualityFiles.Scores.Select(score => reports.Select(r => score.Value(r.Report)).Prepend(score.Name)));
    }

    private static void Table(IAnsiConsole terminal, IEnumerable<string> columns, IEnumerable<IEnumerable<string>> rows)
    {
        var table = new Table { Border = TableBorder.Minimal, UseSafeBorder = false };
        foreach (string column in columns)
            table.AddColumn(new TableColumn(new Text(column)));
        // Text, not strings: Spectre.Console reads brackets in strings as markup.
        foreach (var row in rows)
            table.AddRow([.. row.Select(cell => new Text(cell))]);
        terminal.Write(table);
    }
}
