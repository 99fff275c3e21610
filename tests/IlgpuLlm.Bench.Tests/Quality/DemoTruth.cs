using System.Text.Json;
using IlgpuLlm.Bench.Quality;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Bench.Tests.Quality;

/// <summary>The demo model's golden file, made by Hugging Face in float32, as questions and ground truth.</summary>
internal static class DemoTruth
{
    private const int Eos = 2, MaxTokens = 64;

    private static readonly JsonElement Golden = TestData.Json(TestData.Committed("demo", "golden.json"));

    public static IReadOnlyList<Question> Questions { get; } =
        [.. Golden.GetProperty("prompts").EnumerateArray().Select(p => new Question(p.GetProperty("text").GetString()!, MaxTokens, 0.1f, null))];

    public static GroundTruth Truth { get; } = new(GroundTruth.ExpectedFormat, "demo", "float32", Golden.GetProperty("transformers").GetString()!,
        [.. Golden.GetProperty("prompts").EnumerateArray().Select(p => new GroundTruthAnswer(p.GetProperty("text").GetString()!, Ids(p, "ids"), UntilEos(Ids(p, "greedy")),
            p.GetProperty("greedy_text").GetString()!))]);

    public static int[] Ids(JsonElement prompt, string name) => [.. prompt.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>Golden files go on after the end of the sequence.</summary>
    public static int[] UntilEos(int[] tokens) => Array.IndexOf(tokens, Eos) is >= 0 and var eos ? tokens[..(eos + 1)] : tokens;
}
