using System.Text.Json;
using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Quality;

/// <summary>A question, in the form of the seed's questions.json.</summary>
/// <param name="Prompt">The question.</param>
/// <param name="MaxTokens">The longest answer.</param>
/// <param name="Temperature">Of the answer that is shown.</param>
/// <param name="Expected">The answer that is held to be true, by the model's name; may lack the model's.</param>
internal sealed record Question(string Prompt, int MaxTokens, float Temperature, IReadOnlyDictionary<string, string>? Expected)
{
    private static readonly JsonSerializerOptions Strict = new(ReportJson.Options) { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = false };

    /// <summary>How reports call the questions of this project.</summary>
    public const string BuiltIn = "built in";

    /// <summary>Reads questions.</summary>
    /// <param name="file">The file; null: the ten questions of this project.</param>
    /// <exception cref="BenchException">It cannot be read or is not a list of questions.</exception>
    public static IReadOnlyList<Question> Read(string? file)
    {
        string name = file ?? BuiltIn;
        var questions = JsonFile.Parse<List<Question>>(name, file is null ? Resource.Text("questions.json") : JsonFile.ReadText(file), Strict, "a list of questions");
        if (questions.Count == 0)
            throw new BenchException(name, "holds no question");
        for (int i = 0; i < questions.Count; i++)
            questions[i].Check(name, i + 1);
        return questions;
    }

    private void Check(string file, int number)
    {
        // A constructor's parameter that is absent is null, or 0.
        if (string.IsNullOrEmpty(Prompt))
            throw new BenchException(file, $"question {number}: prompt is missing or empty");
        if (MaxTokens < 1)
            throw new BenchException(file, $"question {number}: max_tokens is {MaxTokens} or missing, must be at least 1");
        if (!(float.IsFinite(Temperature) && Temperature >= 0))
            throw new BenchException(file, FormattableString.Invariant($"question {number}: temperature is {Temperature}, must be finite and not negative"));
    }
}
