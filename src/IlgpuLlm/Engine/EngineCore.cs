using IlgpuLlm.Execution;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Engine;

/// <summary>
/// The inner loop: schedule, launch, update. Knows tokens, not text. Used by one thread. Where the device chooses tokens, a step is launched before the
/// results of the one before it are taken over: the device is never idle while the host schedules, detokenizes and answers.
/// </summary>
internal sealed class EngineCore(Scheduler scheduler, IModelRunner modelRunner) : IDisposable
{
    private readonly EngineCoreOutputs _outputs = new();
    private SchedulerOutput? _underWay; // launched, results not taken over

    public Scheduler Scheduler { get; } = scheduler;

    public IModelRunner ModelRunner { get; } = modelRunner;

    /// <summary>Steps that computed something.</summary>
    public long NumSteps { get; private set; }

    /// <summary>
    /// Launches one batch and takes over the results of those before it, and its own unless it may run beside the host. The outputs, none or those of up to
    /// two batches, are valid until the next call. In steady decode it allocates nothing.
    /// </summary>
    public EngineCoreOutputs Step()
    {
        _outputs.Clear();
        var scheduled = Scheduler.Schedule();
        bool isLaunched = scheduled.Count > 0, runsBeside = isLaunched && ModelRunner.Launch(scheduled);
        NumSteps += isLaunched ? 1 : 0;
        if (_underWay is not null)
            Scheduler.Update(_underWay, ModelRunner.Collect(), _outputs);
        _underWay = runsBeside ? scheduled : null;
        if (isLaunched && !runsBeside)
            Scheduler.Update(scheduled, ModelRunner.Collect(), _outputs);
        return _outputs;
    }

    public void Dispose() => ModelRunner.Dispose();
}
