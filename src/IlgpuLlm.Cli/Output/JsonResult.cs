using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IlgpuLlm.Cli.Output;

/// <summary>The JSON object of a request, in the words of vLLM and its OpenAI-compatible server.</summary>
internal sealed record JsonResult(string? Prompt, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<JsonCompletion> Outputs, JsonUsage Usage)
{
    /// <summary>Writes a line a request.</summary>
    public static void Write(IReadOnlyList<RequestOutput> outputs, TextWriter writer)
    {
        foreach (var output in outputs)
            writer.WriteLine(JsonSerializer.Serialize(From(output), JsonLines.Context.JsonResult));
    }

    private static JsonResult From(RequestOutput output)
    {
        int numCompletionTokens = output.Outputs.Sum(o => o.TokenIds.Count);
        return new JsonResult(output.Prompt, output.PromptTokenIds, [.. output.Outputs.Select(JsonCompletion.From)],
            new JsonUsage(output.PromptTokenIds.Count, numCompletionTokens, output.PromptTokenIds.Count + numCompletionTokens));
    }
}

/// <summary>One completion. <paramref name="StopReason"/> is a stop string, a token id or null; <paramref name="Error"/> appears only with an error.</summary>
internal sealed record JsonCompletion(int Index, string Text, IReadOnlyList<int> TokenIds, string? FinishReason, object? StopReason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error)
{
    public static JsonCompletion From(CompletionOutput output) =>
        new(output.Index, output.Text, output.TokenIds, output.FinishReason?.ToString().ToLowerInvariant(), output.StopReason, output.Error);
}

/// <summary>Numbers of tokens; those of the prompt count once.</summary>
internal sealed record JsonUsage(int PromptTokens, int CompletionTokens, int TotalTokens);

/// <summary>Serializers made at build: reflection would cost every start.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(JsonResult))]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(int))]
[JsonSerializable(typeof(int[]))]
internal sealed partial class JsonLines : JsonSerializerContext
{
    /// <summary>Letters of all languages stay as they are. .NET's most relaxed encoder still escapes characters beyond U+FFFF, such as emoji.</summary>
    public static JsonLines Context { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
