using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Memory outside the managed heap, aligned to a cache line. The system reserves its pages when they are first touched.
/// </summary>
internal sealed unsafe class NativeBlock : IDisposable
{
    private const int Alignment = 64;

    /// <summary>Allocates without touching the memory.</summary>
    /// <param name="byteLength">The size.</param>
    /// <param name="isDense">Whether all of it will be used, so that large pages waste none.</param>
    /// <exception cref="DeviceOutOfMemoryException">It is more than is available.</exception>
    public NativeBlock(long byteLength, bool isDense = false)
    {
        // Reading /proc takes 50 microseconds; what is below a megabyte is the allocator's own risk.
        if (byteLength >= 1 << 20 && CpuMemory.Query().FreeBytes is var free && byteLength > free)
            throw new DeviceOutOfMemoryException(CpuBackend.DeviceName, byteLength, free);
        try
        {
            Pointer = (byte*)NativeMemory.AlignedAlloc(checked((nuint)Math.Max(byteLength, 1)), Alignment);
        }
        catch (OutOfMemoryException)
        {
            throw new DeviceOutOfMemoryException(CpuBackend.DeviceName, byteLength, CpuMemory.Query().FreeBytes);
        }
        ByteLength = byteLength;
        if (isDense)
            LinuxMemory.AdviseHugePages(Pointer, byteLength);
    }

    /// <summary>Frees what nobody disposed: a model whose loading fails half-way leaves its weights behind.</summary>
    ~NativeBlock() => Free();

    public byte* Pointer { get; private set; }

    public long ByteLength { get; }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(Pointer);
        Pointer = null;
    }
}
