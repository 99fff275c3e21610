using System.CommandLine;
using System.Text.Json;
using IlgpuLlm.Cli.Input;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;
using IlgpuLlm.DemoModel;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm tokenize</c>: texts to token ids and back, without the weights.</summary>
internal sealed class TokenizeCommand
{
    private readonly Argument<string[]> _texts = new("TEXT")
    {
        Description = "Texts; with --decode lists of token ids, such as 1,403,407 or [1,403,407].",
        Arity = ArgumentArity.ZeroOrMore,
    };
    private readonly Option<string?> _model = CommonOptions.CreateModel();
    private readonly Option<bool> _noBos = OptionFactory.Flag("--no-bos", "Adds no special tokens, such as the one that begins a sequence.");
    private readonly Option<bool> _decode = OptionFactory.Flag("--decode", "The other way round: token ids to texts. Special tokens are left out.");
    private readonly Option<string?> _jsonl = OptionFactory.Text("--jsonl", "FILE",
        "Reads a JSON string a line (with --decode a JSON array of ids). - is the standard input.");

    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var options = new TokenizeCommand();
        var command = new Command("tokenize", "Prints a JSON array of token ids for each text; with --decode a JSON string for each array.");
        command.Arguments.Add(options._texts);
        command.Options.Add(options._model);
        command.Options.Add(options._noBos);
        command.Options.Add(options._decode);
        command.Options.Add(options._jsonl);
        command.SetAction(parse => options.Run(parse, console));
        return command;
    }

    private int Run(ParseResult parse, CliConsole console)
    {
        string[] texts = parse.GetValue(_texts)!;
        string? file = parse.GetValue(_jsonl);
        bool decode = parse.GetValue(_decode), addSpecialTokens = !parse.GetValue(_noBos);
        if (texts.Length == 0 && file is null)
            throw new UsageException("nothing to do: give a text, or --jsonl FILE");
        if (decode && !addSpecialTokens)
            throw new UsageException("--no-bos has no meaning with --decode");
        // Found before the tokenizer is loaded.
        var idLists = decode ? texts.Select(ParseIds).ToList() : [];

        var tokenizer = TextTokenizer.Load(parse.GetValue(_model) ?? DemoModelFolder.FullPath);
        foreach (int[] ids in idLists)
            console.Out.WriteLine(Decode(tokenizer, ids));
        foreach (string text in decode ? [] : texts)
            console.Out.WriteLine(Encode(tokenizer, text, addSpecialTokens));
        foreach (var line in file is null ? [] : InputLines.Read(file, console.In))
        {
            console.Out.WriteLine(decode
                ? Decode(tokenizer, Parse(file!, line, JsonLines.Context.Int32Array, "a JSON array of token ids"))
                : Encode(tokenizer, Parse(file!, line, JsonLines.Context.String, "a JSON string"), addSpecialTokens));
            // Whoever writes a line and waits for the answer gets it.
            if (file == "-")
                console.Out.Flush();
        }
        return ExitCode.Success;
    }

    private static string Encode(TextTokenizer tokenizer, string text, bool addSpecialTokens) =>
        JsonSerializer.Serialize(tokenizer.Encode(text, addSpecialTokens), JsonLines.Context.Int32Array);

    private static string Decode(TextTokenizer tokenizer, int[] ids) =>
        JsonSerializer.Serialize(tokenizer.Decode(ids), JsonLines.Context.String);

    private static int[] ParseIds(string text) => TokenIds.Parse(text)
        ?? throw new UsageException($"'{text}' is not a list of token ids such as 1,403,407");

    private static T Parse<T>(string file, InputLine line, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string expected)
        where T : class
    {
        try
        {
            if (JsonSerializer.Deserialize(line.Text, type) is { } value)
                return value;
        }
        catch (JsonException)
        {
            // Told below, as null is.
        }
        throw new IOException($"{InputLines.NameOf(file)}: line {line.Number} is not {expected}");
    }
}
