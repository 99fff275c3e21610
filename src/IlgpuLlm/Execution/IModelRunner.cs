using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>Runs the model over one step's requests and samples their next tokens. Scheduler tests fake it.</summary>
internal interface IModelRunner : IDisposable
{
    /// <summary>Computes the scheduled tokens. The result is valid until the next call; rows are in the order of the requests.</summary>
    ModelRunnerOutput Execute(SchedulerOutput scheduled);
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
