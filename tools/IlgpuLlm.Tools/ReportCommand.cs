using System.CommandLine;
using IlgpuLlm.Bench.Plots;
using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Tools;

/// <summary><c>report</c>: report.html and its plots from a report.json, such as one from another machine.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("REPORT") { Description = "A report.json." };
        var html = new Option<string?>("--html") { Description = "Writes the page." };
        var plots = new Option<string?>("--plots") { Description = "A folder for the plots, an SVG each." };
        var command = new Command("report", "Makes the page or the plots of a report.json.") { file, html, plots };
        command.SetAction(parse =>
        {
            try
            {
                var report = ReportJson.Read(parse.GetValue(file)!);
                if (parse.GetValue(html) is { } page)
                    HtmlReport.Write(report, page);
                if (parse.GetValue(plots) is { } folder)
                    WritePlots(report, folder);
                return 0;
            }
            catch (Exception e) when (e is IlgpuLlmException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"error: {e.Message}");
                return 1;
            }
        });
        return command;
    }

    private static void WritePlots(BenchReport report, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var figure in ReportPlots.Of(report))
        {
            string name = string.Concat(figure.Title.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')).Replace("--", "-", StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(folder, $"{report.Model.Name}-{name}.svg"), figure.ToFile());
        }
    }
}
