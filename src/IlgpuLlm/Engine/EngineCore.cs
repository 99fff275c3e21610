using IlgpuLlm.Execution;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Engine;

/// <summary>The inner loop: schedule, execute, update. Knows tokens, not text. Used by one thread.</summary>
internal sealed class EngineCore(Scheduler scheduler, IModelRunner modelRunner) : IDisposable
{
    private static readonly EngineCoreOutputs Nothing = new();

    public Scheduler Scheduler { get; } = scheduler;

    /// <summary>Steps that computed something.</summary>
    public long NumSteps { get; private set; }

    /// <summary>Computes one batch. The result is valid until the next call. In steady decode it allocates nothing.</summary>
    public EngineCoreOutputs Step()
    {
        var scheduled = Scheduler.Schedule();
        if (scheduled.Count == 0)
            return Nothing;
        var result = modelRunner.Execute(scheduled);
        NumSteps++;
        return Scheduler.Update(scheduled, result);
    }

    public void Dispose() => modelRunner.Dispose();
}
