using System.CommandLine;
using IlgpuLlm.Bench.Reports;
using Spectre.Console;

namespace IlgpuLlm.Tools;

/// <summary><c>compare</c>: several report.json of <c>ilgpullm bench precisions</c> side by side.</summary>
internal static class CompareReportsCommand
{
    private const int RedirectedWidth = 400; // no line of the table breaks in a file

    public static Command Create()
    {
        var files = new Argument<string[]>("REPORT") { Description = "report.json files.", Arity = ArgumentArity.OneOrMore };
        var html = new Option<string?>("--html") { Description = "Writes the table as a page." };
        var command = new Command("compare", "Puts several report.json side by side.") { files, html };
        command.SetAction(parse =>
        {
            try
            {
                var reports = parse.GetValue(files)!.Select(ReportJson.Read).ToList();
                Write(reports);
                if (parse.GetValue(html) is { } page)
                    ReportComparison.WritePage(page, reports);
                return 0;
            }
            catch (IlgpuLlmException e)
            {
                Console.Error.WriteLine($"error: {e.Message}");
                return 1;
            }
        });
        return command;
    }

    private static void Write(IReadOnlyList<BenchReport> reports)
    {
        var table = new Table { Border = TableBorder.Minimal, UseSafeBorder = false };
        foreach (string column in ReportComparison.Columns(reports))
            table.AddColumn(new TableColumn(new Text(column)));
        foreach (var row in ReportComparison.Rows(reports))
            table.AddRow([.. row.Select(cell => new Text(cell))]);
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = RedirectedWidth;
        AnsiConsole.Write(table);
    }
}
