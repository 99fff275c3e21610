using IlgpuLlm.Bench.Precisions;

namespace IlgpuLlm.Bench.Quality;

/// <summary>One precision's quality.</summary>
/// <param name="Precision">Its name.</param>
/// <param name="Folder">The checkpoint; null: none was found.</param>
/// <param name="Problem">Why there are no scores; null: there are.</param>
/// <param name="Quality">The scores.</param>
internal sealed record QualityResult(string Precision, string? Folder, string? Problem, QualityReport? Quality);

/// <summary><c>ilgpullm quality</c>: the questions alone.</summary>
internal static class QualityRun
{
    private const string CannotBeWritten = "cannot be written";

    /// <summary>Asks the questions in each precision.</summary>
    /// <param name="model">The checkpoints.</param>
    /// <param name="check">The questions.</param>
    /// <param name="report">Told what happens.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static IReadOnlyList<QualityResult> Run(BenchModel model, QualityCheck check, Action<string> report, CancellationToken cancellationToken) =>
        [.. model.Targets.Select(target =>
        {
            QualityReport? quality = null;
            string? problem = target.Try(options =>
            {
                report($"{target.Precision}: loading {target.Folder}");
                using var llm = new LLM(options);
                report($"{target.Precision}: asking");
                quality = check.Run(llm, target.Precision, cancellationToken);
            }, report);
            return new QualityResult(target.Precision, target.Folder, problem, quality);
        })];

    /// <summary>Makes the folder for <see cref="WriteFiles"/>, before a model is loaded.</summary>
    /// <returns>Its full path.</returns>
    /// <exception cref="BenchException">The folder cannot be written.</exception>
    public static string MakeFolder(string folder) => Files.MakeFolder(folder, CannotBeWritten);

    /// <summary>Writes quality_check.json and quality.md.</summary>
    /// <exception cref="BenchException">The folder cannot be written.</exception>
    public static void WriteFiles(string folder, string model, IReadOnlyList<QualityResult> results)
    {
        var reports = results.Where(r => r.Quality is not null).Select(r => (r.Precision, r.Quality!)).ToList();
        Files.Try(folder, CannotBeWritten, () =>
        {
            QualityFiles.WriteJson(Path.Combine(folder, "quality_check.json"), reports);
            QualityFiles.WriteMarkdown(Path.Combine(folder, "quality.md"), model, reports);
        });
    }
}
