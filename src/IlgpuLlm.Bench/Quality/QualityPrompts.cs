namespace IlgpuLlm.Bench.Quality;

/// <summary>Makes prompts of questions, as the seed's benchmark does.</summary>
internal static class QualityPrompts
{
    // The seed's words, mistake included.
    private const string System = "You answers should always be to the point, precise and not more than 2 sentences strictly";
    private const string Noted = "Sure, noted.";

    /// <summary>The prompt of a quality question: system text and question. A model without a chat template is given the question alone, to continue.</summary>
    /// <param name="llm">The engine.</param>
    /// <param name="question">The question.</param>
    /// <param name="systemIsUserTurn">Whether the system text is a turn of the user, with a short answer.</param>
    public static Prompt OfQuestion(LLM llm, string question, bool systemIsUserTurn)
    {
        if (llm.Tokenizer is not { ChatTemplate: not null } tokenizer)
            return Prompt.FromText(question);
        ChatMessage[] before = systemIsUserTurn ? [ChatMessage.User(System), ChatMessage.Assistant(Noted)] : [ChatMessage.System(System)];
        string text = llm.ApplyChatTemplate([.. before, ChatMessage.User(question)]);
        return Prompt.FromTextAndTokens(text, tokenizer.Encode(text, addSpecialTokens: false));
    }

    /// <summary>
    /// The text of a benchmark's prompt, to be tokenized within the measured time: the question as a turn of the user, where there is a template, without the
    /// BOS token that tokenizing adds.
    /// </summary>
    public static string OfBenchmark(LLM llm, string question)
    {
        if (llm.Tokenizer is not { ChatTemplate: not null } tokenizer)
            return question;
        string text = llm.ApplyChatTemplate([ChatMessage.User(question)]);
        return tokenizer.AddBosToken && tokenizer.SpecialTokens.TryGetValue("bos_token", out string? bos) && text.StartsWith(bos, StringComparison.Ordinal)
            ? text[bos.Length..]
            : text;
    }
}
