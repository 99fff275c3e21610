using System.CommandLine;
using IlgpuLlm.Cli.Generation;
using IlgpuLlm.Cli.Input;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;
using IlgpuLlm.Evaluation;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm perplexity</c>: how well a model foretells a text.</summary>
internal static class PerplexityCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console, Option<bool> verbose)
    {
        var engine = new EngineOptionSet();
        var text = OptionFactory.Text("--text", "FILE", "The text, UTF-8; - is the standard input.");
        text.Required = true;
        var window = OptionFactory.Number<int>("--window", "N",
            "Tokens that the model sees at a time, BOS included. Default: 2048, or one less than max-model-len.");
        var stride = OptionFactory.Number<int>("--stride", "N",
            "How many tokens later each window begins; those scored before are then context only. Default: windows do not overlap.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object.");
        var command = new Command("perplexity", "Prints a text's mean negative log-probability a token, and its perplexity.") { text, window, stride, json };
        engine.AddTo(command);
        command.SetAction(async (parse, cancellationToken) =>
        {
            var options = engine.Read(parse);
            string content = TextFile.Read(parse.GetValue(text)!, console.In);
            bool hasLogs = parse.GetValue(verbose);
            using var loggers = hasLogs ? Logging.Create(console) : null;
            using var llm = await ModelLoading.LoadAsync(console, options, hasLogs,
                o => Task.Run(() => new LLM(o, loggers), cancellationToken), cancellationToken).ConfigureAwait(false);
            var tokenizer = llm.Tokenizer
                ?? throw new UsageException($"{llm.Info.ModelFolder} has no tokenizer (tokenizer.model or tokenizer.json), so the text cannot be divided into tokens");
            int[] tokenIds = tokenizer.Encode(content, addSpecialTokens: false);
            var windows = new ScoringWindows { Length = parse.GetValue(window), Stride = parse.GetValue(stride) };
            var score = await ProgressDisplay.RunAsync(console, "scoring", hasLogs, report => Task.Run(
                () => new TokenScorer(llm).ScoreText(tokenIds, windows, new SynchronousProgress<double>(report), cancellationToken), cancellationToken)).ConfigureAwait(false);
            BenchCommand.Write(console, parse.GetValue(json), [score],
                ("tokens", s => s.NumTokens), ("windows", s => s.NumWindows), ("mean NLL", s => s.MeanNll.ToString("F5", System.Globalization.CultureInfo.InvariantCulture)),
                ("perplexity", s => s.Perplexity.ToString("F4", System.Globalization.CultureInfo.InvariantCulture)), ("tok/s", s => s.TokensPerSecond), ("seconds", s => s.Seconds));
            return ExitCode.Success;
        });
        return command;
    }
}
