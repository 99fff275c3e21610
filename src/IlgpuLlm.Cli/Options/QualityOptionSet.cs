using System.CommandLine;
using IlgpuLlm.Bench;
using IlgpuLlm.Cli.Input;

namespace IlgpuLlm.Cli.Options;

/// <summary>What is asked, and what answers are compared with.</summary>
internal sealed class QualityOptionSet
{
    private readonly Option<string?> _questions = OptionFactory.Text("--questions", "FILE",
        "Questions in the form of the seed's questions.json. Default: ten of this project's own.");
    private readonly Option<string?> _groundTruth = OptionFactory.Text("--ground-truth", "FILE",
        "Hugging Face's answers, by tools/hf_ground_truth.py. Default: the first precision's answers are the reference.");
    private readonly Option<string?> _text = OptionFactory.Text("--text", "FILE", "The text whose perplexity is computed, UTF-8; - is the standard input. Default: one of this project's own.");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_questions, _groundTruth, _text])
            command.Options.Add(option);
    }

    public string? Questions(ParseResult parse) => parse.GetValue(_questions);

    public string? GroundTruth(ParseResult parse) => parse.GetValue(_groundTruth);

    /// <summary>The text itself.</summary>
    /// <exception cref="IOException">The file cannot be read, or is not UTF-8.</exception>
    /// <exception cref="BenchException">The file is empty.</exception>
    public string Text(ParseResult parse, TextReader standardInput)
    {
        if (parse.GetValue(_text) is not { } file)
            return Resource.Text("perplexity.txt");
        string text = TextFile.Read(file, standardInput);
        return text.Length > 0 ? text : throw new BenchException(InputLines.NameOf(file), "is empty; the perplexity is that of at least one token");
    }
}
