using System.Net;
using System.Text;

namespace IlgpuLlm.Bench.Reports;

/// <summary>Tables in HTML. Every text is escaped.</summary>
internal static class HtmlTable
{
    /// <summary>Writes a table.</summary>
    /// <param name="html">Where it goes.</param>
    /// <param name="headings">The columns.</param>
    /// <param name="rows">Their cells.</param>
    /// <param name="cssClass">A class of report.css, or none.</param>
    public static void Write(StringBuilder html, IEnumerable<string> headings, IEnumerable<IEnumerable<string>> rows, string cssClass = "")
    {
        html.Append("<div class=\"scroll\"><table class=\"").Append(cssClass).Append("\">\n<tr>").AppendJoin("", headings.Select(h => $"<th>{Encode(h)}</th>")).Append("</tr>\n");
        foreach (var row in rows)
            html.Append("<tr>").AppendJoin("", row.Select(cell => $"<td>{Encode(cell)}</td>")).Append("</tr>\n");
        html.Append("</table></div>\n");
    }

    public static string Encode(string text) => WebUtility.HtmlEncode(text);
}
