using System.Text;
using IlgpuLlm.Bench.Plots;

namespace IlgpuLlm.Bench.Reports;

/// <summary>A page in one file: nothing is loaded from elsewhere, no script; light or dark as the reader's system is.</summary>
internal sealed class HtmlPage
{
    private readonly StringBuilder _html = new();

    /// <param name="title">The heading.</param>
    /// <param name="subtitle">The line below it.</param>
    public HtmlPage(string title, string subtitle)
    {
        _html.Append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        _html.Append($"<title>{HtmlTable.Encode(title)}</title>\n<style>\n{Resource.Text("report.css")}@media (prefers-color-scheme: dark) {{\n{PlotColors.DarkRules()}\n}}\n</style>\n</head>\n");
        _html.Append($"<body>\n<h1>{HtmlTable.Encode(title)}</h1>\n<p class=\"soft\">{HtmlTable.Encode(subtitle)}</p>\n");
    }

    public HtmlPage Heading(string text)
    {
        _html.Append($"<h2>{HtmlTable.Encode(text)}</h2>\n");
        return this;
    }

    public HtmlPage Text(string text, string cssClass = "")
    {
        _html.Append($"<p class=\"{cssClass}\">{HtmlTable.Encode(text)}</p>\n");
        return this;
    }

    public HtmlPage Table(IEnumerable<string> headings, IEnumerable<IEnumerable<string>> rows, string cssClass = "")
    {
        HtmlTable.Write(_html, headings, rows, cssClass);
        return this;
    }

    public HtmlPage Figures(IEnumerable<Figure> figures)
    {
        foreach (var figure in figures)
            _html.Append($"<figure>\n<h3>{HtmlTable.Encode(figure.Title)}</h3>\n{figure.Svg}\n<figcaption>{HtmlTable.Encode(figure.Caption)}</figcaption>\n</figure>\n");
        return this;
    }

    /// <summary>Writes the page.</summary>
    /// <exception cref="BenchException">The file cannot be written.</exception>
    public void Save(string path) => Files.Try(path, "cannot be written", () => File.WriteAllText(path, _html.ToString() + "</body>\n</html>\n"));
}
