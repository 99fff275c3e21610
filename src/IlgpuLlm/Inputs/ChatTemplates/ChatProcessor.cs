using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Inputs.ChatTemplates;

/// <summary>Turns conversations into prompts by a model's chat template, which is parsed when it is first needed. Thread-safe.</summary>
/// <param name="tokenizer">The model's tokenizer, which knows its templates and special tokens; null where there is none.</param>
/// <param name="modelFolder">The model's folder, for errors.</param>
internal sealed class ChatProcessor(TextTokenizer? tokenizer, string modelFolder)
{
    private readonly ConcurrentDictionary<string, ChatTemplate> _parsed = new();

    /// <summary>Makes the prompt. Its special tokens come from the template alone, so none are added.</summary>
    /// <exception cref="ChatTemplateException">The model has no template, or it refuses the conversation.</exception>
    /// <exception cref="InvalidRequestException">The model has no tokenizer.</exception>
    public Prompt Process(IReadOnlyList<ChatMessage> messages, ChatOptions? options)
    {
        string text = Render(messages, options);
        return tokenizer is null ? Prompt.FromText(text) : Prompt.FromTextAndTokens(text, tokenizer.Encode(text, addSpecialTokens: false));
    }

    /// <summary>Makes the prompt's text.</summary>
    /// <exception cref="ChatTemplateException">The model has no template, or it refuses the conversation.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, ChatOptions? options)
    {
        ArgumentNullException.ThrowIfNull(messages);
        options ??= new ChatOptions();
        return (options.ChatTemplate ?? Find(options)).Render(Variables(messages, options));
    }

    private ChatTemplate Find(ChatOptions options)
    {
        var templates = tokenizer?.ChatTemplates;
        if (templates is null or { Count: 0 })
        {
            throw new ChatTemplateException(modelFolder, 0, "the model has no chat template: neither chat_template.jinja nor chat_template in "
                + "tokenizer_config.json; give one, or generate from a text");
        }
        string name = options.ChatTemplateName ?? (options.Tools is not null && templates.ContainsKey("tool_use") ? "tool_use" : "default");
        if (!templates.TryGetValue(name, out string? source))
            throw new ChatTemplateException(modelFolder, 0, $"the model has no chat template \"{name}\"; it has {string.Join(", ", templates.Keys.Order())}");
        return _parsed.GetOrAdd(name, _ => ChatTemplate.Parse(source, $"{modelFolder}: chat template \"{name}\""));
    }

    // In Transformers' order: what the caller adds may take the place of everything else.
    private Dictionary<string, JsonElement> Variables(IReadOnlyList<ChatMessage> messages, ChatOptions options)
    {
        Dictionary<string, JsonElement> variables = [];
        foreach (var (role, token) in tokenizer?.SpecialTokens ?? new Dictionary<string, string>())
            variables[role] = JsonSerializer.SerializeToElement(token);
        if (tokenizer?.AdditionalSpecialTokens is { Count: > 0 } additional)
            variables["additional_special_tokens"] = JsonSerializer.SerializeToElement(additional);
        variables["messages"] = JsonSerializer.SerializeToElement(new JsonArray([.. messages.Select(ToJson)]));
        variables["tools"] = options.Tools ?? default;
        variables["documents"] = options.Documents ?? default;
        variables["add_generation_prompt"] = JsonSerializer.SerializeToElement(options.AddGenerationPrompt);
        foreach (var (name, value) in options.ChatTemplateKwargs)
            variables[name] = value;
        return variables;
    }

    private static JsonObject ToJson(ChatMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        var json = new JsonObject { ["role"] = message.Role, ["content"] = message.Content };
        foreach (var (name, value) in message.Fields)
            json[name] = JsonNode.Parse(value.GetRawText());
        return json;
    }
}
