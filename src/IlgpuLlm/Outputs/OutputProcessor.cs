using System.Diagnostics;
using IlgpuLlm.Engine;
using IlgpuLlm.Inputs;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Outputs;

/// <summary>Turns the core's tokens into text and outputs, and ends requests at stop strings. Used by the engine's thread.</summary>
internal sealed class OutputProcessor(TextTokenizer? tokenizer)
{
    private readonly Dictionary<string, (RequestState Request, SequenceState Sequence)> _sequences = [];

    public static double Now => Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;

    /// <summary>Starts to follow a request.</summary>
    public RequestState Add(ProcessedRequest request, double arrivalTime)
    {
        var state = new RequestState(request, tokenizer, arrivalTime);
        for (int i = 0; i < state.Sequences.Length; i++)
            _sequences.Add(request.Sequences[i].RequestId, (state, state.Sequences[i]));
        return state;
    }

    /// <summary>Stops following a request; its unfinished sequences end as aborted.</summary>
    public void Abort(RequestState state)
    {
        foreach (var request in state.CoreRequests)
            _sequences.Remove(request.RequestId);
        foreach (var sequence in state.Sequences)
            sequence.Abort();
    }

    /// <summary>Takes over a step's outputs.</summary>
    /// <param name="outputs">What the core made.</param>
    /// <param name="abort">Told which sequences a stop string ended: before the caller sees their last output, so that their blocks are free by then.</param>
    /// <param name="emit">Called for every output that a caller should see.</param>
    public void Process(EngineCoreOutputs outputs, Action<string> abort, Action<RequestState, RequestOutput> emit)
    {
        double now = Now;
        for (int i = 0; i < outputs.Count; i++)
        {
            var output = outputs[i];
            if (!_sequences.TryGetValue(output.Request.Id, out var entry))
                continue; // aborted while the step ran
            var (request, sequence) = entry;
            if (output.Row.PromptLogprobs is { } promptLogprobs)
                request.AddPromptLogprobs(promptLogprobs, sequence.Index);
            if (output.Row.SampledTokenId < 0 && output.Row.Error is null)
                continue;
            if (sequence.Append(output))
                abort(output.Request.Id);
            request.TokenArrived(now, output.Request.NumPreemptions);
            if (sequence.FinishReason is not null)
                _sequences.Remove(output.Request.Id);
            if (request.OutputKind != RequestOutputKind.FinalOnly || request.Finished)
                emit(request, request.Snapshot(sequence));
        }
    }
}
