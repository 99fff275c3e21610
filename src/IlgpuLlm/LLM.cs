using IlgpuLlm.Engine;
using IlgpuLlm.Inputs;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Outputs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm;

/// <summary>
/// Offline inference: many prompts at once, batched continuously, answers when all are done. Not thread-safe; for concurrent callers see
/// <see cref="AsyncLLM"/>.
/// </summary>
public sealed class LLM : IDisposable
{
    private readonly LoadedEngine _engine;
    private long _numRequests;
    private bool _disposed;

    /// <summary>Loads a model.</summary>
    /// <param name="options">The model, the device and the limits; null: the embedded demo model with defaults.</param>
    /// <param name="loggerFactory">Where logs go; null: nowhere.</param>
    /// <exception cref="CheckpointException">The model's folder cannot be used.</exception>
    /// <exception cref="InvalidOptionException">An option is not valid.</exception>
    /// <exception cref="Execution.ModelDoesNotFitException">The model does not fit the device.</exception>
    public LLM(EngineOptions? options = null, ILoggerFactory? loggerFactory = null) =>
        _engine = EngineBuilder.Build(options ?? new EngineOptions(), (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger<LLM>());

    /// <summary>What runs, and on what.</summary>
    public EngineInfo Info => _engine.Info;

    /// <summary>The model's tokenizer; null where its folder has none.</summary>
    public TextTokenizer? Tokenizer => _engine.Tokenizer;

    /// <summary>The parameters of requests that bring none: generation_config.json's over the defaults.</summary>
    public SamplingParams DefaultSamplingParams => _engine.DefaultSampling;

    /// <summary>Steps that the engine has run; each reads all weights once.</summary>
    public long NumSteps => _engine.Core.NumSteps;

    internal EngineCore Core => _engine.Core;

    /// <summary>Describes what an engine with these options would be, without loading weights.</summary>
    /// <exception cref="IlgpuLlmException">As the constructor.</exception>
    public static EngineInfo Inspect(EngineOptions options) => EngineBuilder.Inspect(options);

    /// <summary>Completes prompts.</summary>
    /// <param name="prompts">Texts or tokens.</param>
    /// <param name="sampling">For all of them; null: <see cref="DefaultSamplingParams"/>.</param>
    /// <param name="progress">Told how many requests have ended.</param>
    /// <param name="cancellationToken">Ends all of them; blocks are freed.</param>
    /// <returns>One output a prompt, in order.</returns>
    /// <exception cref="InvalidRequestException">A prompt or parameter is not valid; nothing was run.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The engine was disposed.</exception>
    public IReadOnlyList<RequestOutput> Generate(IEnumerable<Prompt> prompts, SamplingParams? sampling = null, IProgress<int>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return Generate(prompts.Select(prompt => (prompt, sampling)), progress, cancellationToken);
    }

    /// <summary>Completes prompts, each with its own parameters.</summary>
    /// <inheritdoc cref="Generate(IEnumerable{Prompt}, SamplingParams?, IProgress{int}?, CancellationToken)"/>
    public IReadOnlyList<RequestOutput> Generate(IEnumerable<(Prompt Prompt, SamplingParams? Sampling)> requests, IProgress<int>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        ObjectDisposedException.ThrowIf(_disposed, this);
        var processed = requests.Select(r => _engine.Inputs.Process($"{_numRequests++}", r.Prompt,
            (r.Sampling ?? DefaultSamplingParams) with { OutputKind = RequestOutputKind.FinalOnly })).ToList();
        var results = new RequestOutput[processed.Count];
        int numDone = 0;
        Run(processed, (index, output) =>
        {
            results[index] = output;
            progress?.Report(++numDone);
        }, cancellationToken);
        return results;
    }

    /// <summary>Completes one prompt.</summary>
    /// <inheritdoc cref="Generate(IEnumerable{Prompt}, SamplingParams?, IProgress{int}?, CancellationToken)"/>
    public RequestOutput Generate(Prompt prompt, SamplingParams? sampling = null, CancellationToken cancellationToken = default) =>
        Generate([prompt], sampling, null, cancellationToken)[0];

    /// <summary>Answers a conversation: the model's chat template makes the prompt of it.</summary>
    /// <param name="messages">The conversation so far.</param>
    /// <param name="sampling">Null: <see cref="DefaultSamplingParams"/>.</param>
    /// <param name="options">How the prompt is made; null: defaults.</param>
    /// <param name="cancellationToken">Ends the request.</param>
    /// <returns>The answer; <see cref="RequestOutput.Prompt"/> is the rendered prompt.</returns>
    /// <exception cref="Inputs.ChatTemplates.ChatTemplateException">The model has no chat template, or it refuses the conversation.</exception>
    /// <exception cref="InvalidRequestException">A parameter is not valid, or the prompt is too long; nothing was run.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The engine was disposed.</exception>
    public RequestOutput Chat(IReadOnlyList<ChatMessage> messages, SamplingParams? sampling = null, ChatOptions? options = null,
        CancellationToken cancellationToken = default) => Chat([messages], sampling, options, null, cancellationToken)[0];

    /// <summary>Answers many conversations.</summary>
    /// <param name="conversations">The conversations.</param>
    /// <param name="sampling">For all of them; null: <see cref="DefaultSamplingParams"/>.</param>
    /// <param name="options">How the prompts are made; null: defaults.</param>
    /// <param name="progress">Told how many requests have ended.</param>
    /// <param name="cancellationToken">Ends all of them.</param>
    /// <returns>One output a conversation, in order.</returns>
    /// <inheritdoc cref="Chat(IReadOnlyList{ChatMessage}, SamplingParams?, ChatOptions?, CancellationToken)" path="/exception"/>
    public IReadOnlyList<RequestOutput> Chat(IEnumerable<IReadOnlyList<ChatMessage>> conversations, SamplingParams? sampling = null, ChatOptions? options = null,
        IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(conversations);
        return Generate(conversations.Select(messages => _engine.Chat.Process(messages, options)), sampling, progress, cancellationToken);
    }

    /// <summary>The prompt that <see cref="Chat(IReadOnlyList{ChatMessage}, SamplingParams?, ChatOptions?, CancellationToken)"/> makes of a conversation.</summary>
    /// <inheritdoc cref="Chat(IReadOnlyList{ChatMessage}, SamplingParams?, ChatOptions?, CancellationToken)" path="/param"/>
    /// <exception cref="Inputs.ChatTemplates.ChatTemplateException">The model has no chat template, or it refuses the conversation.</exception>
    public string ApplyChatTemplate(IReadOnlyList<ChatMessage> messages, ChatOptions? options = null) => _engine.Chat.Render(messages, options);

    /// <summary>Completes one prompt; each output is handed out as it comes, in the step that made it.</summary>
    /// <exception cref="InvalidRequestException">The prompt or a parameter is not valid; nothing was run.</exception>
    internal void Stream(Prompt prompt, SamplingParams sampling, Action<RequestOutput> emit, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Run([_engine.Inputs.Process($"{_numRequests++}", prompt, sampling)], (_, output) => emit(output), cancellationToken);
    }

    /// <summary>Runs steps until all requests have ended, or frees what they hold.</summary>
    /// <param name="processed">The requests.</param>
    /// <param name="emit">Takes a request's index and an output of it.</param>
    /// <param name="cancellationToken">Ends all of them.</param>
    private void Run(List<ProcessedRequest> processed, Action<int, RequestOutput> emit, CancellationToken cancellationToken)
    {
        double now = OutputProcessor.Now;
        var indices = new Dictionary<RequestState, int>(processed.Count);
        try
        {
            for (int i = 0; i < processed.Count; i++)
                indices.Add(_engine.Add(processed[i], now), i);
            while (_engine.Core.Scheduler.HasUnfinishedRequests)
            {
                cancellationToken.ThrowIfCancellationRequested();
                _engine.Step((request, output) => emit(indices[request], output));
            }
        }
        catch
        {
            foreach (var request in indices.Keys)
                _engine.Abort(request);
            throw;
        }
    }

    /// <summary>Frees the model and the device.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _engine.Dispose();
    }
}
