using IlgpuLlm.Execution;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Engine;

/// <summary>What a step made for one request.</summary>
/// <param name="Request">The request.</param>
/// <param name="Row">The new token and log-probabilities. A negative token id: none was sampled, only prompt log-probabilities came.</param>
/// <param name="FinishReason">Why it ended, or null.</param>
/// <param name="StopToken">The stop token that ended it, or null.</param>
internal readonly record struct EngineCoreOutput(Request Request, ModelRunnerRow Row, FinishReason? FinishReason, int? StopToken);

/// <summary>What a step made. One instance, refilled by every step.</summary>
internal sealed class EngineCoreOutputs
{
    private readonly List<EngineCoreOutput> _items = [];

    public int Count => _items.Count;

    public EngineCoreOutput this[int index] => _items[index];

    public void Add(EngineCoreOutput output) => _items.Add(output);

    public void Clear() => _items.Clear();
}
