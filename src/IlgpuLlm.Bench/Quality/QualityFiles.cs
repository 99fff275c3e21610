using System.Globalization;
using System.Text;
using System.Text.Json;
using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Quality;

/// <summary>quality_check.json in the seed's form, and quality.md: the questions by precision and ground truth, and the scores.</summary>
internal static class QualityFiles
{
    /// <summary>Writes a list of answers for each precision.</summary>
    public static void WriteJson(string path, IReadOnlyList<(string Precision, QualityReport Report)> reports) => File.WriteAllText(path,
        JsonSerializer.Serialize(reports.ToDictionary(r => r.Precision, r => r.Report.Answers.Select(a => new SeedAnswer(a.Question, a.MaxToken, a.Temperature, a.Actual, a.Expected))),
            ReportJson.Options) + "\n");

    /// <summary>Writes both tables.</summary>
    public static void WriteMarkdown(string path, string model, IReadOnlyList<(string Precision, QualityReport Report)> reports)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"# Quality of {model}\n\n");
        if (reports.Count > 0)
        {
            var first = reports[0].Report;
            Row(text, ["Question", .. reports.Select(r => r.Precision), "Ground Truth"]);
            Row(text, Enumerable.Repeat("---", reports.Count + 2));
            for (int q = 0; q < first.Answers.Count; q++)
                Row(text, [first.Answers[q].Question, .. reports.Select(r => r.Report.Answers[q].Actual), first.Answers[q].Expected]);
            text.Append(CultureInfo.InvariantCulture, $"\nScores of greedy answers; reference: {first.Reference}.\n\n");
            Row(text, ["Score", .. reports.Select(r => r.Precision)]);
            Row(text, Enumerable.Repeat("---", reports.Count + 1));
            foreach (var (name, value) in Scores)
                Row(text, [name, .. reports.Select(r => value(r.Report))]);
        }
        File.WriteAllText(path, text.ToString());
    }

    /// <summary>The scores, as tables have them.</summary>
    public static readonly IReadOnlyList<(string Name, Func<QualityReport, string> Value)> Scores =
    [
        ("answers equal to the reference, token for token", r => FormattableString.Invariant($"{r.ExactMatches} of {r.NumQuestions}")),
        ("leading tokens equal, mean of the answers", r => Number(r.MeanMatchTokens, "F1")),
        ("leading tokens equal, % of the reference", r => Number(r.TokenMatchPercent, "F1")),
        ("likeliest token is the reference's, % of its tokens", r => Number(r.Top1Percent, "F2")),
        ("KL divergence, mean (nats)", r => Number(r.MeanKl, "G3")),
        ("KL divergence, largest (nats)", r => Number(r.MaxKl, "G3")),
        ("perplexity of the reference's answers", r => Number(r.ReferencePerplexity, "F4")),
        ("perplexity of a text", r => Number(r.TextPerplexity, "F4")),
        ("prompts tokenized unlike the reference", r => r.NumPromptsThatDiffer is { } n ? FormattableString.Invariant($"{n} of {r.NumQuestions}") : "-"),
    ];

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    private static void Row(StringBuilder text, IEnumerable<string> cells) => text.Append("| ").AppendJoin(" | ", cells.Select(Escape)).Append(" |\n");

    // A cell is one line, and a bar ends it.
    private static string Escape(string text) => text.Trim().Replace("\\", "\\\\", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal).ReplaceLineEndings("<br>");

    private sealed record SeedAnswer(string Question, int MaxToken, float Temperature, string Actual, string Expected);
}
