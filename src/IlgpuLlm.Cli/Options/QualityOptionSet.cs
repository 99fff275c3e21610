using System.CommandLine;

namespace IlgpuLlm.Cli.Options;

/// <summary>What is asked, and what answers are compared with.</summary>
internal sealed class QualityOptionSet
{
    private readonly Option<string?> _questions = OptionFactory.Text("--questions", "FILE",
        "Questions in the form of the seed's questions.json. Default: ten of this project's own.");
    private readonly Option<string?> _groundTruth = OptionFactory.Text("--ground-truth", "FILE",
        "Hugging Face's answers, by tools/hf_ground_truth.py. Default: the first precision's answers are the reference.");
    private readonly Option<string?> _text = OptionFactory.Text("--text", "FILE", "The text whose perplexity is computed. Default: one of this project's own.");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_questions, _groundTruth, _text])
            command.Options.Add(option);
    }

    public string? Questions(ParseResult parse) => parse.GetValue(_questions);

    public string? GroundTruth(ParseResult parse) => parse.GetValue(_groundTruth);

    public string? Text(ParseResult parse) => parse.GetValue(_text);
}
