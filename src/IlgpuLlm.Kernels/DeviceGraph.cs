namespace IlgpuLlm.Kernels;

/// <summary>
/// A recorded sequence of operations that runs with one call: hundreds of launches cost the host some microseconds each, and a decode step is that
/// short. It reads and writes the buffers that it was recorded with; their contents may change between runs, their sizes and shapes may not.
/// </summary>
public abstract class DeviceGraph : IDisposable
{
    /// <summary>Queues the operations, in order with all others of the backend.</summary>
    public abstract void Launch();

    /// <summary>Frees the recording.</summary>
    public abstract void Dispose();
}
