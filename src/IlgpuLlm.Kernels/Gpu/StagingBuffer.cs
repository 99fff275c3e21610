namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A stretch of host memory in which one thread prepares weights for the device.</summary>
internal abstract class StagingBuffer : IDisposable
{
    /// <summary>4 MiB: large enough to copy at the speed of the bus, small enough for a dozen loading threads.</summary>
    public const int ByteLength = 4 << 20;

    /// <summary>The host memory, <see cref="ByteLength"/> bytes.</summary>
    public abstract Span<byte> Bytes { get; }

    /// <summary>Copies the first bytes to the device and waits for it.</summary>
    public abstract void CopyToDevice(nint destination, int byteLength);

    /// <inheritdoc/>
    public abstract void Dispose();
}
