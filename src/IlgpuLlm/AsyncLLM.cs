using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using IlgpuLlm.Engine;
using IlgpuLlm.Inputs;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Outputs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm;

/// <summary>
/// A running engine for concurrent callers: each request is a stream of outputs, all of them share the engine's batches. Thread-safe. The engine
/// runs on a thread of its own, which sleeps while there is nothing to do.
/// </summary>
public sealed partial class AsyncLLM : IAsyncDisposable
{
    private readonly LoadedEngine _engine;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<Command> _commands = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<RequestState, Stream> _streams = [];
    private long _numRequests;
    private volatile bool _stopping;
    private volatile Exception? _failure;

    internal AsyncLLM(LoadedEngine engine, ILogger logger)
    {
        _engine = engine;
        _logger = logger;
        new Thread(Run) { IsBackground = true, Name = "IlgpuLlm engine" }.Start();
    }

    /// <summary>What runs, and on what.</summary>
    public EngineInfo Info => _engine.Info;

    /// <summary>The model's tokenizer; null where its folder has none.</summary>
    public TextTokenizer? Tokenizer => _engine.Tokenizer;

    /// <summary>The parameters of requests that bring none: generation_config.json's over the defaults.</summary>
    public SamplingParams DefaultSamplingParams => _engine.DefaultSampling;

    /// <summary>KV cache blocks that no request holds now.</summary>
    public int NumFreeBlocks => _engine.Core.Scheduler.NumFreeBlocks;

    /// <summary>Loads a model and starts the engine.</summary>
    /// <inheritdoc cref="LLM(EngineOptions?, ILoggerFactory?)"/>
    /// <param name="options">The model, the device and the limits; null: the embedded demo model with defaults.</param>
    /// <param name="loggerFactory">Where logs go; null: nowhere.</param>
    /// <param name="cancellationToken">Checked before loading begins.</param>
    public static Task<AsyncLLM> CreateAsync(EngineOptions? options = null, ILoggerFactory? loggerFactory = null, CancellationToken cancellationToken = default)
    {
        var logger = (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger<AsyncLLM>();
        return Task.Run(() => new AsyncLLM(EngineBuilder.Build(options ?? new EngineOptions(), logger), logger), cancellationToken);
    }

    /// <summary>Completes a prompt, output by output; what an output holds is up to <see cref="SamplingParams.OutputKind"/>.</summary>
    /// <param name="prompt">Text or tokens.</param>
    /// <param name="sampling">Null: <see cref="DefaultSamplingParams"/>.</param>
    /// <param name="requestId">Names the request in outputs and logs; unique among those that run. Null: one that begins with <c>auto-</c>.</param>
    /// <param name="cancellationToken">Aborts the request; its blocks are freed before the next step. So does leaving the loop early.</param>
    /// <exception cref="InvalidRequestException">The prompt or a parameter is not valid. Thrown by the first MoveNextAsync.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; outputs that were not read yet are lost.</exception>
    /// <exception cref="EngineDeadException">The engine failed; no request can run any more.</exception>
    /// <exception cref="ObjectDisposedException">The engine was disposed.</exception>
    public async IAsyncEnumerable<RequestOutput> GenerateAsync(Prompt prompt, SamplingParams? sampling = null, string? requestId = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        cancellationToken.ThrowIfCancellationRequested();
        double arrivalTime = OutputProcessor.Now;
        var request = _engine.Inputs.Process(requestId ?? $"auto-{Interlocked.Increment(ref _numRequests) - 1}", prompt, sampling);
        var stream = new Stream(request, arrivalTime);
        Send(new Command(stream, Abort: false));
        // Not only when the caller asks for the next output, which may be long after.
        using var abort = cancellationToken.UnsafeRegister(_ => Send(new Command(stream, Abort: true)), null);
        try
        {
            await foreach (var output in stream.Outputs.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                // Outputs that wait to be read do not keep the caller.
                cancellationToken.ThrowIfCancellationRequested();
                yield return output;
                if (output.Finished)
                    yield break;
            }
            // The engine was told before the reader was.
            cancellationToken.ThrowIfCancellationRequested();
        }
        finally
        {
            if (!stream.Ended)
                Send(new Command(stream, Abort: true));
        }
    }

    /// <summary>Answers a conversation, output by output: the model's chat template makes the prompt of it.</summary>
    /// <param name="messages">The conversation so far.</param>
    /// <param name="sampling">Null: <see cref="DefaultSamplingParams"/>.</param>
    /// <param name="options">How the prompt is made; null: defaults.</param>
    /// <param name="requestId">As of <see cref="GenerateAsync"/>.</param>
    /// <param name="cancellationToken">Aborts the request; its blocks are freed before the next step. So does leaving the loop early.</param>
    /// <exception cref="Inputs.ChatTemplates.ChatTemplateException">The model has no chat template, or it refuses the conversation.</exception>
    /// <inheritdoc cref="GenerateAsync" path="/exception"/>
    public IAsyncEnumerable<RequestOutput> ChatAsync(IReadOnlyList<ChatMessage> messages, SamplingParams? sampling = null, ChatOptions? options = null,
        string? requestId = null, CancellationToken cancellationToken = default) =>
        GenerateAsync(_engine.Chat.Process(messages, options), sampling, requestId, cancellationToken);

    /// <summary>The prompt that <see cref="ChatAsync"/> makes of a conversation.</summary>
    /// <exception cref="Inputs.ChatTemplates.ChatTemplateException">The model has no chat template, or it refuses the conversation.</exception>
    public string ApplyChatTemplate(IReadOnlyList<ChatMessage> messages, ChatOptions? options = null) => _engine.Chat.Render(messages, options);

    /// <summary>Stops the engine after its current step. Requests that still run end with <see cref="ObjectDisposedException"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        _wake.Set();
        await _stopped.Task.ConfigureAwait(false);
    }

    private void Send(Command command)
    {
        _commands.Enqueue(command);
        _wake.Set();
        // The engine's last act is to empty the queue, so whoever comes later sees it stopped and answers for himself.
        if (_stopped.Task.IsCompleted)
            EndAll();
    }

    private void Run()
    {
        Action<RequestState, RequestOutput> emit = Emit;
        try
        {
            while (!_stopping)
            {
                while (_commands.TryDequeue(out var command))
                    Execute(command);
                if (_engine.Core.Scheduler.HasUnfinishedRequests)
                    _engine.Step(emit);
                else
                    _wake.WaitOne();
            }
        }
        catch (Exception e)
        {
            _failure = e;
            LogFailure(_logger, e);
        }
        _stopping = true;
        foreach (var stream in _streams.Values)
            stream.End(StoppedError());
        try
        {
            _engine.Dispose();
        }
        catch (Exception e)
        {
            // A device that failed may fail again here; this is no reason to end the process or to let DisposeAsync wait for ever.
            LogFailure(_logger, e);
        }
        _stopped.SetResult();
        EndAll();
    }

    private void Execute(Command command)
    {
        var stream = command.Stream;
        if (command.Abort)
        {
            if (stream.State is { } state && _streams.Remove(state))
            {
                _engine.Abort(state);
                stream.End(null);
            }
            return;
        }
        try
        {
            stream.State = _engine.Add(stream.Request, stream.ArrivalTime);
            _streams.Add(stream.State, stream);
        }
        catch (Exception e)
        {
            // Its own failure, memory for a request of many sequences for instance, is no reason to end the others.
            stream.End(e);
        }
    }

    private void Emit(RequestState state, RequestOutput output)
    {
        var stream = _streams[state];
        stream.Outputs.Writer.TryWrite(output);
        if (output.Finished)
        {
            _streams.Remove(state);
            stream.End(null);
        }
    }

    private void EndAll()
    {
        while (_commands.TryDequeue(out var command))
            command.Stream.End(StoppedError());
    }

    private Exception StoppedError() => _failure is { } failure ? new EngineDeadException(failure) : new ObjectDisposedException(nameof(AsyncLLM));

    [LoggerMessage(Level = LogLevel.Critical, Message = "the engine failed and has stopped")]
    private static partial void LogFailure(ILogger logger, Exception exception);

    private readonly record struct Command(Stream Stream, bool Abort);

    /// <summary>A request and the way back to its caller.</summary>
    private sealed class Stream(ProcessedRequest request, double arrivalTime)
    {
        public ProcessedRequest Request { get; } = request;

        public double ArrivalTime { get; } = arrivalTime;

        public Channel<RequestOutput> Outputs { get; } = Channel.CreateUnbounded<RequestOutput>(new() { SingleReader = true, SingleWriter = true });

        /// <summary>Set by the engine's thread.</summary>
        public RequestState? State { get; set; }

        public bool Ended => _ended;

        private volatile bool _ended;

        public void End(Exception? error)
        {
            _ended = true;
            Outputs.Writer.TryComplete(error);
        }
    }
}
