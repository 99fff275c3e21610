using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IlgpuLlm.Bench.Reports;

/// <summary>Writes and reads report.json.</summary>
internal static class ReportJson
{
    /// <summary>For everything that this project writes: snake case, letters of all languages as they are.</summary>
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        WriteIndented = true,
    };

    public static void Write(BenchReport report, string path) => File.WriteAllText(path, JsonSerializer.Serialize(report, Options) + "\n");

    /// <exception cref="BenchException">The file cannot be read, or is no report of this version.</exception>
    public static BenchReport Read(string path)
    {
        var report = JsonFile.Parse<BenchReport>(path, JsonFile.ReadText(path), Options, "a report");
        return report.FormatVersion == BenchReport.CurrentVersion ? report
            : throw new BenchException(path, $"format_version is {report.FormatVersion}, must be {BenchReport.CurrentVersion}");
    }
}
