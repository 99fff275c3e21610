using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates;

namespace IlgpuLlm;

/// <summary>How a prompt is made of a conversation. Names and defaults are those of vLLM's <c>LLM.chat</c>.</summary>
public sealed record ChatOptions
{
    /// <summary>Whether the prompt ends with the words that begin an assistant's message.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>The template; null: the model's own.</summary>
    public ChatTemplate? ChatTemplate { get; init; }

    /// <summary>
    /// Which of the model's templates is used, where it has several; null: <c>tool_use</c> if <see cref="Tools"/> are given and there is one, else <c>default</c>.
    /// </summary>
    public string? ChatTemplateName { get; init; }

    /// <summary>The tools that the model may call, an array of JSON schemas; handed to the template as it is.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>Documents that the model may use, an array of objects; handed to the template as it is.</summary>
    public JsonElement? Documents { get; init; }

    /// <summary>Further variables of the template: <c>enable_thinking</c>, <c>date_string</c>.</summary>
    public IReadOnlyDictionary<string, JsonElement> ChatTemplateKwargs { get; init; } = new Dictionary<string, JsonElement>();
}
