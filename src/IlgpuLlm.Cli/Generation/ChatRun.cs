using IlgpuLlm.Cli.Input;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;

namespace IlgpuLlm.Cli.Generation;

/// <summary>Loads the model and answers messages: answers go to stdout, everything else to stderr.</summary>
internal sealed class ChatRun(ChatRequest request, CliConsole console)
{
    private const string Help = """
        /system TEXT  begins anew with this system message (without TEXT: with none)
        /reset        begins anew with the same system message
        /stats        times, rates and memory of the last answer
        /exit         ends the program; so does the end of the input
        A line that begins with // is a message that begins with /. Ctrl-C stops an answer.
        """;

    private RunStatistics? _statistics;

    /// <returns>The exit code: a failure if a message could not be answered.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        using var loggers = request.Verbose ? Logging.Create(console) : null;
        await using var llm = await ModelLoading.LoadAsync(console, request.Engine, request.Verbose,
            options => AsyncLLM.CreateAsync(options, loggers, cancellationToken), cancellationToken).ConfigureAwait(false);
        var conversation = new Conversation(llm, request.Template, request.System);
        if (request.Question is { } question)
            return await AnswerAsync(llm, conversation, question, cancellationToken).ConfigureAwait(false) ? ExitCode.Success : ExitCode.Failure;
        if (!conversation.HasTemplate)
            console.Error.WriteLine("the model has no chat template: it continues what you write");
        return await TalkAsync(llm, conversation, cancellationToken).ConfigureAwait(false);
    }

    private async Task<int> TalkAsync(AsyncLLM llm, Conversation conversation, CancellationToken cancellationToken)
    {
        bool areAllAnswered = true;
        using var lines = InputLines.Read("-", console.In).GetEnumerator();
        while (await ReadAsync(lines, cancellationToken).ConfigureAwait(false) is { } line)
        {
            if (string.IsNullOrWhiteSpace(line))
                continue;
            if (line[0] != '/' || line.StartsWith("//", StringComparison.Ordinal))
                areAllAnswered &= await TryAnswerAsync(llm, conversation, line[0] == '/' ? line[1..] : line, cancellationToken).ConfigureAwait(false);
            else if (line.Trim() == "/exit")
                break;
            else
                Command(conversation, line.Trim());
        }
        return areAllAnswered || console.IsInTerminal ? ExitCode.Success : ExitCode.Failure;
    }

    /// <summary>Waits for a line; null: there is no more. The first Ctrl-C says how to leave, the second leaves.</summary>
    private async Task<string?> ReadAsync(IEnumerator<InputLine> lines, CancellationToken cancellationToken)
    {
        bool wasInterrupted = false;
        using var interrupt = console.Interrupts.Handle(() =>
        {
            if (wasInterrupted || !console.IsInTerminal)
                return false;
            wasInterrupted = true;
            console.Error.Write("\n(/exit or Ctrl-C once more ends the program)\n");
            Prompt();
            return true;
        });
        Prompt();
        // Reading blocks, and only the end of the program ends it.
        return await Task.Run(lines.MoveNext, cancellationToken).WaitAsync(cancellationToken).ConfigureAwait(false) ? lines.Current.Text : null;
    }

    private void Prompt()
    {
        if (console.IsInTerminal && console.IsErrorTerminal)
            console.Error.Write("> ");
    }

    private void Command(Conversation conversation, string line)
    {
        string name = line.Split(' ', '\t')[0];
        string rest = line[name.Length..].Trim();
        switch (name)
        {
            case "/system":
                conversation.SetSystem(rest);
                console.Error.WriteLine(rest.Length > 0 ? "new conversation with this system message" : "new conversation without system message");
                break;
            case "/reset":
                conversation.Reset();
                console.Error.WriteLine("new conversation");
                break;
            case "/stats" when _statistics is null:
                console.Error.WriteLine("no answer yet");
                break;
            case "/stats":
                _statistics.WriteTo(console.Error);
                break;
            case "/help":
                console.Error.WriteLine(Help);
                break;
            default:
                console.Error.WriteLine($"unknown command {name}; /help names them all");
                break;
        }
    }

    /// <summary>Answers; what is wrong with the message ends the message, not the conversation.</summary>
    private async Task<bool> TryAnswerAsync(AsyncLLM llm, Conversation conversation, string message, CancellationToken cancellationToken)
    {
        try
        {
            return await AnswerAsync(llm, conversation, message, cancellationToken).ConfigureAwait(false);
        }
        catch (IlgpuLlmException e) when (e is not EngineDeadException)
        {
            conversation.RemoveLast();
            console.Error.WriteLine(ErrorReport.OneLine(ErrorReport.Describe(e).Message));
            return false;
        }
    }

    private async Task<bool> AnswerAsync(AsyncLLM llm, Conversation conversation, string message, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // There is nothing after a single question, so Ctrl-C ends the program there.
        using var interrupt = request.Question is not null ? null : console.Interrupts.Handle(() =>
        {
            stop.Cancel();
            return true;
        });
        int maxTokens = llm.Info.GenerationConfig.MaxNewTokens ?? SamplingOptionSet.DefaultMaxTokens;
        var sampling = request.SamplingOver(llm.DefaultSamplingParams, maxTokens) with { OutputKind = RequestOutputKind.Delta };
        var statistics = new RunStatistics(llm.Info);
        var answer = new System.Text.StringBuilder();
        string? error = null;
        bool wasStopped = false;
        conversation.Add(ChatMessage.User(message));
        try
        {
            await foreach (var output in conversation.AnswerAsync(sampling, stop.Token).ConfigureAwait(false))
            {
                var completion = output.Outputs[0];
                // Between a template's last token and the answer there may be a space, which belongs to the history only.
                bool isAtStart = conversation.HasTemplate && string.IsNullOrWhiteSpace(answer.ToString());
                console.Out.Write(isAtStart ? completion.Text.TrimStart() : completion.Text);
                console.Out.Flush();
                answer.Append(completion.Text);
                statistics.Add(output);
                _statistics = statistics;
                error ??= completion.FinishReason == FinishReason.Error ? completion.Error : null;
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            wasStopped = true;
        }
        console.Out.WriteLine();
        console.Out.Flush();
        if (wasStopped)
            console.Error.WriteLine("(stopped)");
        // What was said before a stop is part of the conversation.
        conversation.Add(ChatMessage.Assistant(answer.ToString()));
        if (error is not null)
            console.Error.WriteLine(ErrorReport.OneLine($"the request failed: {error}"));
        if (request.Stats)
            statistics.WriteTo(console.Error);
        return error is null;
    }
}
