namespace IlgpuLlm.Kernels;

/// <summary>The time between the ends of two runs that followed each other on a device.</summary>
/// <param name="NumSeqs">Sequences of the second.</param>
/// <param name="StepMs">From one end to the other, in milliseconds.</param>
/// <param name="IdleMs">What of it lies before the second one's operations began.</param>
public readonly record struct StepTime(int NumSeqs, double StepMs, double IdleMs);

/// <summary>
/// Times runs of operations by the device's own clock, and what lies between them: whatever the device waits for its host then, the host's work is not hidden
/// behind the device's. Used by one thread.
/// </summary>
public abstract class DeviceStepTimer : IDisposable
{
    /// <summary>Marks the beginning of a run, behind all operations that are queued.</summary>
    /// <param name="numSeqs">Sequences of the run.</param>
    public abstract void Begin(int numSeqs);

    /// <summary>Marks the end of the run, behind its operations.</summary>
    public abstract void End();

    /// <summary>Says that other operations are queued now: what lies between the last run and the next one does not count.</summary>
    public abstract void Interrupt();

    /// <summary>Waits for the runs so far, returns the times between those that followed each other, and forgets them.</summary>
    public abstract IReadOnlyList<StepTime> Take();

    /// <summary>Frees the marks.</summary>
    public abstract void Dispose();
}
