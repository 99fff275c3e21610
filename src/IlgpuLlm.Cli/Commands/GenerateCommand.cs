using System.CommandLine;
using IlgpuLlm.Cli.Generation;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm generate</c>: completes prompts.</summary>
internal static class GenerateCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console, Option<bool> verbose)
    {
        var prompts = new PromptOptionSet();
        var engine = new EngineOptionSet();
        var sampling = new SamplingOptionSet();
        var json = OptionFactory.Flag("--json", "Prints a JSON object a prompt: texts, token ids, finish reasons, usage.");
        var stats = OptionFactory.Flag("--stats", "Prints times, rates and memory to stderr, also where it is not a terminal.");
        var command = new Command("generate", "Completes prompts. One prompt's text is printed as it is made.");
        prompts.AddTo(command);
        engine.AddTo(command);
        sampling.AddTo(command);
        command.Options.Add(json);
        command.Options.Add(stats);
        command.SetAction((parse, cancellationToken) =>
        {
            // All that can be wrong is found before a model is loaded.
            sampling.Validate(parse);
            var request = new GenerateRequest
            {
                Engine = engine.Read(parse),
                NumCompletions = sampling.NumCompletions(parse),
                SamplingOver = (defaults, maxTokens) => sampling.Read(parse, defaults, maxTokens),
                Prompts = prompts.Read(parse, console.In),
                Json = parse.GetValue(json),
                Stats = parse.GetValue(stats) || console.IsErrorTerminal,
                Verbose = parse.GetValue(verbose),
            };
            return new GenerateRun(request, console).RunAsync(cancellationToken);
        });
        return command;
    }
}
