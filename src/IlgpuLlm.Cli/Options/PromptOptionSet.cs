using System.CommandLine;
using IlgpuLlm.Cli.Input;

namespace IlgpuLlm.Cli.Options;

/// <summary>Where prompts come from: arguments, then a file, then lists of token ids.</summary>
internal sealed class PromptOptionSet
{
    private readonly Argument<string[]> _texts = new("PROMPT")
    {
        Description = "Texts to continue. An empty text is the beginning-of-sequence token alone.",
        Arity = ArgumentArity.ZeroOrMore,
    };
    private readonly Option<string?> _file = OptionFactory.Text("--prompts", "FILE", "A prompt a line, UTF-8; blank lines are skipped. - is the standard input.");
    private readonly Option<int[][]> _ids = OptionFactory.TokenIdLists("--prompt-ids", "A prompt as token ids: 1,403,407; can be given several times.");

    /// <summary>Adds the argument and the options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Arguments.Add(_texts);
        command.Options.Add(_file);
        command.Options.Add(_ids);
    }

    /// <summary>Reads the prompts.</summary>
    /// <exception cref="UsageException">None is given.</exception>
    public List<Prompt> Read(ParseResult parse, TextReader standardInput)
    {
        List<Prompt> prompts = [.. parse.GetValue(_texts)!.Select(Prompt.FromText)];
        if (parse.GetValue(_file) is { } file)
        {
            prompts.AddRange(InputLines.Read(file, standardInput).Where(line => !string.IsNullOrWhiteSpace(line.Text)).Select(line => Prompt.FromText(line.Text)));
            if (prompts.Count == 0)
                throw new UsageException($"--prompts: {InputLines.NameOf(file)} has no prompts");
        }
        prompts.AddRange((parse.GetValue(_ids) ?? []).Select(Prompt.FromTokens));
        if (prompts.Count == 0)
            throw new UsageException("no prompt: give a text, --prompts FILE, or --prompt-ids IDS");
        return prompts;
    }
}
