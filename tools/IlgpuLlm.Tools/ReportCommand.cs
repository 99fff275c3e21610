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
        var pngs = new Option<string?>("--png") { Description = "A folder for the plots, a PNG each." };
        var command = new Command("report", "Makes the page or the plots of a report.json.") { file, html, plots, pngs };
        command.SetAction(parse =>
        {
            try
            {
                var report = ReportJson.Read(parse.GetValue(file)!);
                if (parse.GetValue(html) is { } page)
                    HtmlReport.Write(report, page);
                if (parse.GetValue(plots) is { } folder)
                    PlotFiles.WriteSvgs(report, folder);
                if (parse.GetValue(pngs) is { } pictures)
                    PlotFiles.WritePngs(report, pictures);
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
}
