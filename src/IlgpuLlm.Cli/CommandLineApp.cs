using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using IlgpuLlm.Cli.Commands;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli;

/// <summary>The whole program but for the process around it: arguments in, exit code out.</summary>
internal static class CommandLineApp
{
    /// <summary>Runs a command line.</summary>
    /// <param name="args">Without the program's name.</param>
    /// <param name="console">Where text comes from and goes to.</param>
    /// <param name="cancellationToken">Ends what runs; the exit code is then <see cref="ExitCode.Interrupted"/>.</param>
    public static async Task<int> RunAsync(string[] args, CliConsole console, CancellationToken cancellationToken = default)
    {
        // A prompt may begin with @, which is a response file otherwise.
        var verbose = CommonOptions.CreateVerbose();
        var parse = CreateRoot(console, verbose).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        try
        {
            CheckSyntax(args, parse);
            // Exceptions are told here, in one place; signals are the process's affair.
            try
            {
                return await parse.InvokeAsync(new InvocationConfiguration
                {
                    Output = console.Out,
                    Error = console.Error,
                    EnableDefaultExceptionHandler = false,
                    ProcessTerminationTimeout = null,
                }, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                // Results that were made before an error are not lost, and none is cut in the middle of a line.
                console.Out.Flush();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // A terminal shows ^C behind what was written last.
            if (console.IsErrorTerminal)
                console.Error.WriteLine();
            return ExitCode.Interrupted;
        }
        catch (IOException e) when (CliConsole.IsBrokenPipe(e))
        {
            return ExitCode.Success;
        }
        catch (Exception e)
        {
            var (exitCode, message) = ErrorReport.Describe(e);
            console.Error.WriteLine(ErrorReport.OneLine(message));
            if (parse.GetValue(verbose))
                console.Error.WriteLine(e);
            return exitCode;
        }
    }

    private static RootCommand CreateRoot(CliConsole console, Option<bool> verbose)
    {
        var root = new RootCommand("Runs large language models: Llama and Mistral checkpoints in Hugging Face layout, on the CPU or a CUDA GPU.")
        {
            GenerateCommand.Create(console, verbose),
            ChatCommand.Create(console, verbose),
            TokenizeCommand.Create(console),
            InfoCommand.Create(console),
            QuantizeCommand.Create(console, verbose),
            PerplexityCommand.Create(console, verbose),
            BenchCommand.Create(console),
            QualityCommand.Create(console),
        };
        // The default help option also answers to /h and -?, which may be prompts.
        root.Options.Clear();
        root.Options.Add(new HelpOption("--help", "-h"));
        root.Options.Add(new VersionOption("--version"));
        root.Options.Add(verbose);
        return root;
    }

    private static void CheckSyntax(string[] args, ParseResult parse)
    {
        if (parse.CommandResult.Command is RootCommand && parse.Tokens.Count == 0)
            throw new UsageException("no command: give generate, chat, tokenize, info, quantize, perplexity, bench or quality; --help describes them");
        if (parse.Action is ParseErrorAction)
            throw new UsageException(parse.Errors[^1].Message);
        // The parser takes the value of --json=false for one of the prompts.
        var flags = parse.RootCommandResult.Command.Options.Concat(parse.CommandResult.Command.Options).Where(o => o.Arity.MaximumNumberOfValues == 0).ToList();
        foreach (string arg in args.TakeWhile(a => a != "--"))
        {
            if (flags.Find(f => arg.StartsWith(f.Name + '=', StringComparison.Ordinal) || arg.StartsWith(f.Name + ':', StringComparison.Ordinal)) is { } flag)
                throw new UsageException($"{flag.Name} takes no value");
        }
        // The parser takes an unknown option for an argument: a misspelt --temperature would be one of the prompts.
        int numLiteral = parse.Tokens.SkipWhile(t => t.Type != TokenType.DoubleDash).Count(t => t.Type != TokenType.DoubleDash);
        foreach (var argument in parse.CommandResult.Command.Arguments)
        {
            var given = parse.GetResult(argument)?.Tokens ?? [];
            if (given.SkipLast(numLiteral).FirstOrDefault(t => t.Value.Length > 1 && t.Value[0] == '-') is { } unknown)
                throw new UsageException($"unknown option '{unknown.Value}'; a text that begins with a dash goes after --");
        }
    }
}
