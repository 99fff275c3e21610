using IlgpuLlm.Inputs.ChatTemplates;

namespace IlgpuLlm.Cli.Generation;

/// <summary>What was said so far, and the stream of an answer to it. Without a template the conversation is one text, which the model continues.</summary>
/// <param name="llm">The engine.</param>
/// <param name="template">The template in place of the model's; null: the model's.</param>
/// <param name="system">The system message, or null.</param>
internal sealed class Conversation(AsyncLLM llm, ChatTemplate? template, string? system)
{
    private readonly List<ChatMessage> _turns = [];
    private string? _system = system;

    /// <summary>Whether there is a template.</summary>
    public bool HasTemplate { get; } = template is not null || llm.Tokenizer is { ChatTemplates.Count: > 0 };

    /// <summary>Forgets what was said; the system message stays.</summary>
    public void Reset() => _turns.Clear();

    /// <summary>Sets the system message and begins anew; an empty text: there is none.</summary>
    public void SetSystem(string text)
    {
        _system = text.Length > 0 ? text : null;
        Reset();
    }

    /// <summary>Adds a message.</summary>
    public void Add(ChatMessage message) => _turns.Add(message);

    /// <summary>Takes the last message back: it could not be answered.</summary>
    public void RemoveLast() => _turns.RemoveAt(_turns.Count - 1);

    /// <summary>Answers the last message.</summary>
    public IAsyncEnumerable<RequestOutput> AnswerAsync(SamplingParams sampling, CancellationToken cancellationToken) => HasTemplate
        ? llm.ChatAsync(Messages(), sampling, new ChatOptions { ChatTemplate = template }, cancellationToken: cancellationToken)
        : llm.GenerateAsync(Text(), sampling, cancellationToken: cancellationToken);

    private List<ChatMessage> Messages() => [.. _system is null ? [] : new[] { ChatMessage.System(_system) }, .. _turns];

    // An answer follows its message at once; whatever is written next begins a line.
    private string Text() => string.Concat(Messages().Select((message, i) => (i > 0 && message.Role == "user" ? "\n" : "") + message.Content));
}
