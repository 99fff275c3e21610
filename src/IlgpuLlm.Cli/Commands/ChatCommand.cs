using System.CommandLine;
using IlgpuLlm.Cli.Generation;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Inputs.ChatTemplates;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm chat</c>: a conversation.</summary>
internal static class ChatCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console, Option<bool> verbose)
    {
        var engine = new EngineOptionSet();
        var sampling = new SamplingOptionSet();
        var quick = OptionFactory.Text("--quick", "QUESTION", "Answers this once and ends.");
        var system = OptionFactory.Text("--system", "TEXT", "Begins the conversation with a system message.");
        var template = OptionFactory.Text("--chat-template", "FILE", "A Jinja template to use in place of the model's own.");
        var stats = OptionFactory.Flag("--stats", "Prints times, rates and memory to stderr after every answer.");
        var command = new Command("chat", "Talks with a model; a line is a message. /help names what else can be written. A model without a chat template continues the text.");
        engine.AddTo(command);
        foreach (Option option in (Option[])[quick, system, template])
            command.Options.Add(option);
        sampling.AddTo(command);
        command.Options.Add(stats);
        command.SetAction((parse, cancellationToken) =>
        {
            // All that can be wrong is found before a model is loaded.
            sampling.Validate(parse);
            if (sampling.NumCompletions(parse) != 1)
                throw new UsageException($"--n: {sampling.NumCompletions(parse)} must be 1: a conversation goes on with one answer");
            var request = new ChatRequest
            {
                Engine = engine.Read(parse),
                SamplingOver = (defaults, maxTokens) => sampling.Read(parse, defaults, maxTokens),
                Question = parse.GetValue(quick),
                System = parse.GetValue(system),
                Template = parse.GetValue(template) is { } file ? ChatTemplate.Parse(ReadTemplate(file), file) : null,
                Stats = parse.GetValue(stats),
                Verbose = parse.GetValue(verbose),
            };
            return new ChatRun(request, console).RunAsync(cancellationToken);
        });
        return command;
    }

    private static string ReadTemplate(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (ArgumentException e)
        {
            throw new IOException($"'{file}' is not a path: {e.Message}", e);
        }
    }
}
