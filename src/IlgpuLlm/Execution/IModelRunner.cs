using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>Runs the model over one step's requests and samples their next tokens. Scheduler tests fake it.</summary>
internal interface IModelRunner : IDisposable
{
    /// <summary>
    /// Starts to compute the scheduled tokens. At most one step before it may be under way. Pending tokens of its requests must be results of that one.
    /// </summary>
    /// <returns>Whether the next step may be launched before this one is collected.</returns>
    bool Launch(SchedulerOutput scheduled);

    /// <summary>Waits for the oldest step under way. The result is valid until the launch after the next; rows are in the order of the requests.</summary>
    ModelRunnerOutput Collect();

    /// <summary>Times decode steps from now on, on a device that runs beside its host; null on any other. The runner disposes it.</summary>
    DeviceStepTimer? TimeSteps() => null;

    /// <summary>The device's memory now.</summary>
    DeviceMemory QueryMemory() => default;
}

/// <summary>One request's result.</summary>
/// <param name="SampledTokenId">The next token; negative if the prompt is not computed to its end yet.</param>
/// <param name="Logprobs">The log-probabilities of that token, if asked for.</param>
/// <param name="PromptLogprobs">Those of the prompt tokens of this step, if asked for.</param>
/// <param name="Error">What went wrong with this request alone, or null.</param>
internal readonly record struct ModelRunnerRow(int SampledTokenId, PositionLogprobs? Logprobs, PositionLogprobs[]? PromptLogprobs, string? Error)
{
    public const int NoToken = -1;
}

/// <summary>A step's results. One instance, refilled by every step.</summary>
internal sealed class ModelRunnerOutput(int maxNumSeqs)
{
    public ModelRunnerRow[] Rows { get; } = new ModelRunnerRow[maxNumSeqs];
}
