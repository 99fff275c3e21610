namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Host memory in two halves in which one thread prepares weights for the device: it fills one half while the other one is being copied.
/// </summary>
internal abstract class StagingBuffer : IDisposable
{
    /// <summary>2 MiB a half: large enough to copy at the speed of the bus, small enough for a dozen loading threads and for their caches.</summary>
    public const int HalfByteLength = 2 << 20;

    /// <summary>The half that is free next, <see cref="HalfByteLength"/> bytes; waits until what was in it is copied.</summary>
    public abstract Span<byte> NextHalf();

    /// <summary>Queues a copy of the first bytes of that half to the device: runs of bytes, one behind the other here, a stride apart there.</summary>
    public abstract void CopyToDevice(nint destination, int runLength, int numRuns = 1, int stride = 0);

    /// <summary>Operations that are queued to the device from now on come after the copies.</summary>
    public abstract void Publish();

    /// <summary>Waits until the copies have ended.</summary>
    public abstract void Wait();

    /// <inheritdoc/>
    public abstract void Dispose();
}
