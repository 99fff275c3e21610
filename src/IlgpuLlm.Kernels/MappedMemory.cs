using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels;

/// <summary>What the operating system can be told of memory that is a mapped file.</summary>
public static unsafe class MappedMemory
{
    /// <summary>
    /// Says that all of <paramref name="bytes"/> are about to be read once. On Linux one thread then reads a file that is in the file cache at 13 GB/s
    /// instead of 2 (measured).
    /// </summary>
    public static void WillRead(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
            LinuxMemory.PopulateForReading(start, bytes.Length);
    }
}
