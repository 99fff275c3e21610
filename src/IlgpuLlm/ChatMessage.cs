using System.Text.Json;

namespace IlgpuLlm;

/// <summary>A message of a conversation.</summary>
/// <param name="Role">Who says it: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>, or whatever else the model's template knows.</param>
/// <param name="Content">What is said; null: nothing, as where an assistant only calls tools.</param>
public sealed record ChatMessage(string Role, string? Content)
{
    /// <summary>
    /// Further members that the template may read: <c>tool_calls</c>, <c>tool_call_id</c>, <c>name</c>, <c>reasoning_content</c>. A member <c>content</c> here
    /// takes the place of <see cref="Content"/>, for content that is a list of parts.
    /// </summary>
    public IReadOnlyDictionary<string, JsonElement> Fields { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>A message of the role <c>system</c>.</summary>
    public static ChatMessage System(string content) => new("system", content);

    /// <summary>A message of the role <c>user</c>.</summary>
    public static ChatMessage User(string content) => new("user", content);

    /// <summary>A message of the role <c>assistant</c>.</summary>
    public static ChatMessage Assistant(string content) => new("assistant", content);
}
