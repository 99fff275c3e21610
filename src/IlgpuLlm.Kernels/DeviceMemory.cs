namespace IlgpuLlm.Kernels;

/// <summary>A device's memory.</summary>
/// <param name="TotalBytes">All of it.</param>
/// <param name="FreeBytes">What is free now.</param>
public readonly record struct DeviceMemory(long TotalBytes, long FreeBytes);

/// <summary>Thrown when a device cannot give the memory that was asked for.</summary>
public sealed class DeviceOutOfMemoryException(string device, long requestedBytes, long freeBytes)
    : Exception($"{device}: cannot allocate {requestedBytes / 1048576.0:N1} MiB; {freeBytes / 1048576.0:N1} MiB are free")
{
    /// <summary>What was asked for.</summary>
    public long RequestedBytes { get; } = requestedBytes;

    /// <summary>What was free.</summary>
    public long FreeBytes { get; } = freeBytes;
}
