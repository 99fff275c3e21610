using System.Text.Json;
using System.Text.Json.Serialization;
using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Quality;

/// <summary>Greedy answers by Hugging Face Transformers, as tools/hf_ground_truth.py writes them.</summary>
/// <param name="Format">The kind of file.</param>
/// <param name="Model">The folder there.</param>
/// <param name="Dtype">What it computed in.</param>
/// <param name="Transformers">Their version.</param>
/// <param name="Answers">One a question.</param>
internal sealed record GroundTruth(string Format, string Model, string Dtype, string Transformers, IReadOnlyList<GroundTruthAnswer> Answers)
{
    public const string ExpectedFormat = "ilgpullm-ground-truth-1";

    private static readonly JsonSerializerOptions Strict = new(ReportJson.Options) { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    /// <summary>Reads the file, and checks that it answers these questions.</summary>
    /// <exception cref="BenchException">It cannot be read, is something else, or lacks a question.</exception>
    public static GroundTruth Read(string file, IReadOnlyList<Question> questions)
    {
        var truth = JsonFile.Parse<GroundTruth>(file, JsonFile.ReadText(file), Strict, "a ground truth by tools/hf_ground_truth.py");
        if (truth.Format != ExpectedFormat)
            throw new BenchException(file, $"format is \"{truth.Format}\", must be \"{ExpectedFormat}\"");
        for (int i = 0; i < truth.Answers.Count; i++)
        {
            if (truth.Answers[i] is null or { PromptTokenIds.Count: 0 } or { TokenIds.Count: 0 })
                throw new BenchException(file, $"answer {i + 1} has no tokens");
        }
        foreach (var question in questions)
        {
            if (truth.Answers.All(answer => answer.Question != question.Prompt))
                throw new BenchException(file, $"has no answer to \"{(question.Prompt.Length > 60 ? question.Prompt[..60] + "..." : question.Prompt)}\"");
        }
        return truth with { File = file };
    }

    /// <summary>Where it was read from, for errors.</summary>
    [JsonIgnore]
    public string File { get; private init; } = "ground truth";

    /// <summary>Checks the tokens against a model.</summary>
    /// <exception cref="BenchException">The model has no such token: the answers are another model's.</exception>
    public void CheckTokens(int vocabSize)
    {
        for (int i = 0; i < Answers.Count; i++)
        {
            foreach (int token in Answers[i].PromptTokenIds.Concat(Answers[i].TokenIds).Where(token => token < 0 || token >= vocabSize))
                throw new BenchException(File, $"answer {i + 1} has token id {token}; the model's vocab_size is {vocabSize}");
        }
    }

    /// <summary>The answer to a question that the file has.</summary>
    public GroundTruthAnswer To(Question question) => Answers.First(answer => answer.Question == question.Prompt);
}

/// <summary>An answer.</summary>
/// <param name="Question">The question.</param>
/// <param name="PromptTokenIds">The prompt's tokens, of template and question.</param>
/// <param name="TokenIds">The answer's tokens, the end-of-sequence token included.</param>
/// <param name="Answer">Their text; empty where there was no tokenizer.</param>
internal sealed record GroundTruthAnswer(string Question, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<int> TokenIds, string Answer);
