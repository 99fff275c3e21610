using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Plots;

/// <summary>The plots of a report as files, named <c>MODEL-TITLE</c>.</summary>
internal static class PlotFiles
{
    /// <summary>Writes drawings, light or dark as the reader's system is.</summary>
    /// <param name="report">The report.</param>
    /// <param name="folder">Made where it is not there.</param>
    /// <exception cref="BenchException">The folder cannot be written.</exception>
    public static void WriteSvgs(BenchReport report, string folder) => Write(report, folder, (figure, path) => File.WriteAllText(path + ".svg", figure.ToFile()));

    /// <summary>Writes pictures on white, of twice the drawings' size in pixels.</summary>
    /// <inheritdoc cref="WriteSvgs"/>
    /// <exception cref="BenchException">The folder cannot be written, or the machine has no font.</exception>
    public static void WritePngs(BenchReport report, string folder)
    {
        if (SystemFont.Name is null)
            throw new BenchException(folder, "pictures of plots cannot be drawn, as this machine has no font: `ilgpullm-tools report --png` draws those of a report.json elsewhere");
        Write(report, folder, (figure, path) => File.WriteAllBytes(path + ".png", figure.ToPng()));
    }

    private static void Write(BenchReport report, string folder, Action<Figure, string> write) => Files.Try(folder, "cannot be written", () =>
    {
        Directory.CreateDirectory(folder);
        foreach (var figure in ReportPlots.Of(report))
        {
            string title = string.Concat(figure.Title.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')).Replace("--", "-", StringComparison.Ordinal);
            write(figure, Path.Combine(folder, $"{report.Model.Name}-{title}"));
        }
    });
}
