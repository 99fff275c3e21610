using System.CommandLine;
using System.Text.Json;
using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm quality</c>: the same questions in each precision, scored.</summary>
internal static class QualityCommand
{
    private static readonly JsonSerializerOptions OneLine = new(ReportJson.Options) { WriteIndented = false };

    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var models = new PrecisionOptionSet("auto", "demo");
        var quality = new QualityOptionSet();
        var output = OptionFactory.Text("--output", "DIR", "A folder for quality_check.json, in the seed's form, and quality.md.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object a precision, with answers and scores.");
        var command = new Command("quality", "Asks questions in each precision and compares the answers with float32's, or with Hugging Face's.");
        models.AddTo(command);
        quality.AddTo(command);
        command.Options.Add(output);
        command.Options.Add(json);
        command.SetAction((parse, cancellationToken) => Task.Run(() =>
        {
            var engine = models.ReadEngine(parse);
            var questions = Question.Read(quality.Questions(parse));
            var truth = quality.GroundTruth(parse) is { } file ? GroundTruth.Read(file, questions) : null;
            string text = quality.Text(parse, console.In);
            string? folder = parse.GetValue(output) is { } path ? QualityRun.MakeFolder(path) : null;
            using var model = models.FindModel(parse, engine);
            var check = new QualityCheck(questions, truth, model.Name, model.SystemIsUserTurn, text);
            var results = QualityRun.Run(model, check, console.Error.WriteLine, cancellationToken);
            if (folder is not null)
                QualityRun.WriteFiles(folder, model.Name, results);
            if (parse.GetValue(json))
            {
                foreach (var result in results)
                    console.Out.WriteLine(JsonSerializer.Serialize(result, OneLine));
            }
            else
            {
                PrecisionSummary.WriteQuality(SpectreConsoles.ForOut(console), [.. results.Where(r => r.Quality is not null).Select(r => (r.Precision, r.Quality!))]);
            }
            return results.Any(r => r.Problem is not null && r.Folder is not null) || results.All(r => r.Quality is null) ? ExitCode.Failure : ExitCode.Success;
        }, cancellationToken));
        return command;
    }
}
