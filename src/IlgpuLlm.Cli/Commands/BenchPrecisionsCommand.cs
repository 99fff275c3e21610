using System.CommandLine;
using IlgpuLlm.Bench.Precisions;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench precisions</c>: what bench/bench.sh runs.</summary>
internal static class BenchPrecisionsCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var defaults = new PrecisionRequest();
        var models = new PrecisionOptionSet("cuda", "llama");
        var quality = new QualityOptionSet();
        var prompt = OptionFactory.Text("--prompt", "TEXT", $"What is completed. Default: '{PrecisionRequest.DefaultPrompt}'.").WithAliases("-p");
        var repetitions = OptionFactory.Number<int>("--repetitions", "N", $"How often, in each precision. Default: {defaults.Repetitions}.").WithAliases("-r");
        var maxTokens = OptionFactory.Number<int>("--max-tokens", "N", $"Most new tokens. Default: {defaults.MaxTokens}.").WithAliases("-m", "--max_tokens");
        var temperature = OptionFactory.Number<float>("--temperature", "T", "Default: 0.1.");
        var ignoreEos = OptionFactory.Flag("--ignore-eos", "Goes on after the model's end-of-sequence token, so that all repetitions are equally long.");
        var batchSizes = OptionFactory.Numbers<int>("--batch-sizes", "Batches of random prompts that are measured as well; '' for none. Default: 1,2,4,8 on the CPU, else 1,8,32,64.");
        var inputLen = OptionFactory.Number<int>("--input-len", "N", $"Prompt tokens of those. Default: {defaults.InputLen}.");
        var outputLen = OptionFactory.Number<int>("--output-len", "N", $"New tokens of those. Default: {defaults.OutputLen}.");
        var noQuality = OptionFactory.Flag("--no-quality", "Leaves out the questions.");
        var logsDir = OptionFactory.Text("--logs-dir", "DIR", "Where the folder of the run is made. Default: logs.");
        var logFile = OptionFactory.Text("--log-file", "FILE", "The log; a name alone lies in the folder of the run. Default: performance.log.").WithAliases("-lf", "--log_file");
        var command = new Command("precisions", "The seed's benchmark: one prompt and the quality questions in float32, float16, int8 and int4; with log, quality tables and reports.");
        foreach (Option option in (Option[])[prompt, repetitions, maxTokens])
            command.Options.Add(option);
        models.AddTo(command);
        foreach (Option option in (Option[])[temperature, ignoreEos, batchSizes, inputLen, outputLen, noQuality])
            command.Options.Add(option);
        quality.AddTo(command);
        foreach (Option option in (Option[])[logsDir, logFile])
            command.Options.Add(option);
        command.SetAction((parse, cancellationToken) => Task.Run(() =>
        {
            var engine = models.ReadEngine(parse);
            var request = defaults with
            {
                Prompt = parse.GetValue(prompt) ?? defaults.Prompt,
                Repetitions = parse.GetValue(repetitions) ?? defaults.Repetitions,
                MaxTokens = parse.GetValue(maxTokens) ?? defaults.MaxTokens,
                Temperature = parse.GetValue(temperature) ?? defaults.Temperature,
                IgnoreEos = parse.GetValue(ignoreEos),
                BatchSizes = parse.GetValue(batchSizes)?.Values ?? (engine.Device == "cpu" ? [1, 2, 4, 8] : [1, 8, 32, 64]),
                InputLen = parse.GetValue(inputLen) ?? defaults.InputLen,
                OutputLen = parse.GetValue(outputLen) ?? defaults.OutputLen,
                ChecksQuality = !parse.GetValue(noQuality),
                Questions = quality.Questions(parse),
                GroundTruth = quality.GroundTruth(parse),
                Text = quality.Text(parse, console.In),
                LogsFolder = parse.GetValue(logsDir) ?? defaults.LogsFolder,
                LogFile = parse.GetValue(logFile),
            };
            request.Validate();
            using var model = models.FindModel(parse, engine);
            var (report, folder) = PrecisionRun.Run(request, model, engine, console.Error, cancellationToken);
            PrecisionSummary.Write(console, report, folder);
            bool hasFailed = report.Precisions.Any(p => (p.Problem is not null && p.Folder is not null) || p.QualityProblem is not null);
            return hasFailed || report.Precisions.All(p => p.Problem is not null) ? ExitCode.Failure : ExitCode.Success;
        }, cancellationToken));
        return command;
    }
}
