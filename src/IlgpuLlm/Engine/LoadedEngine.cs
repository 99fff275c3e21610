using IlgpuLlm.Inputs;
using IlgpuLlm.Inputs.ChatTemplates;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Outputs;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Engine;

/// <summary>An engine ready to run, with what surrounds its core: text in, text out. Used by one thread, but for <see cref="Inputs"/>.</summary>
internal sealed class LoadedEngine(EngineCore core, InputProcessor inputs, TextTokenizer? tokenizer, int[] eosTokenIds, SamplingParams defaultSampling, EngineInfo info)
    : IDisposable
{
    private readonly OutputProcessor _outputs = new(tokenizer);
    private readonly Action<string> _abort = core.Scheduler.Abort;

    public EngineCore Core { get; } = core;

    public InputProcessor Inputs { get; } = inputs;

    public TextTokenizer? Tokenizer { get; } = tokenizer;

    public ChatProcessor Chat { get; } = new(tokenizer, info.ModelFolder);

    public SamplingParams DefaultSampling { get; } = defaultSampling;

    public EngineInfo Info { get; } = info;

    /// <summary>Queues a request: all its sequences or none.</summary>
    /// <exception cref="InvalidRequestException">It can never fit the cache, or its id is in use.</exception>
    public RequestState Add(ProcessedRequest request, double arrivalTime)
    {
        int added = 0;
        try
        {
            for (; added < request.Sequences.Length; added++)
            {
                var sequence = request.Sequences[added];
                Core.Scheduler.Add(new Request(sequence.RequestId, sequence.PromptTokenIds, sequence.Sampling, sequence.MaxTokens, sequence.Seed,
                    eosTokenIds, Info.Memory.BlockSize));
            }
            return _outputs.Add(request, arrivalTime);
        }
        catch
        {
            for (int i = 0; i < added; i++)
                Core.Scheduler.Abort(request.Sequences[i].RequestId);
            throw;
        }
    }

    /// <summary>Ends a request and frees its blocks at once.</summary>
    public void Abort(RequestState request)
    {
        foreach (var sequence in request.CoreRequests)
            Core.Scheduler.Abort(sequence.RequestId);
        _outputs.Abort(request);
    }

    /// <summary>Runs one step and hands out what it made.</summary>
    public void Step(Action<RequestState, RequestOutput> emit) => _outputs.Process(Core.Step(), _abort, emit);

    public void Dispose() => Core.Dispose();
}
