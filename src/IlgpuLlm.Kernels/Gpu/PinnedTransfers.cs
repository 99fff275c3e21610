using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Page-locked integers that the device's stream copies from while the host goes on.</summary>
internal sealed unsafe class PinnedUpload : UploadBuffer
{
    private readonly CudaGpuDevice _device;
    private readonly nint _memory;
    private readonly int _length;

    public PinnedUpload(CudaGpuDevice device, int length)
    {
        _device = device;
        _length = length;
        _ = device.Stream; // binds the thread
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.AllocateHostMemory(out _memory, (nint)Math.Max(length, 1) * sizeof(int)));
        Values.Clear();
    }

    public override Span<int> Values => new((void*)_memory, _length);

    public override void Send(int offset, int count, DeviceBuffer destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)offset + count, _length, nameof(count));
        ShapeChecks.Transfer(destination, ElementType.I32, count, nameof(destination));
        if (count > 0)
        {
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(
                _device.Own(destination).Address, _memory + (nint)offset * sizeof(int), (nint)count * sizeof(int), _device.Stream));
        }
    }

    public override void Dispose()
    {
        _ = _device.Stream;
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.FreeHostMemory(_memory));
    }
}

/// <summary>Page-locked integers that the device's stream copies to, and an event that tells when it has.</summary>
internal sealed unsafe class PinnedDownload : DownloadBuffer
{
    private readonly CudaGpuDevice _device;
    private readonly nint _memory;
    private readonly nint _copied;
    private readonly int _length;
    private int _count;

    public PinnedDownload(CudaGpuDevice device, int length)
    {
        _device = device;
        _length = length;
        _ = device.Stream; // binds the thread
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.AllocateHostMemory(out _memory, (nint)Math.Max(length, 1) * sizeof(int)));
        _copied = CudaDriver.CreateEvent();
    }

    public override void Start(DeviceBuffer source, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _length);
        ShapeChecks.Transfer(source, ElementType.I32, count, nameof(source));
        _count = count;
        var stream = (CudaStream)_device.Stream;
        if (count > 0)
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(_memory, _device.Own(source).Address, (nint)count * sizeof(int), stream));
        CudaDriver.RecordEvent(_copied, stream.StreamPtr);
    }

    public override ReadOnlySpan<int> Wait()
    {
        _ = _device.Stream;
        CudaDriver.WaitForEvent(_copied);
        return new((void*)_memory, _count);
    }

    public override void Dispose()
    {
        _ = _device.Stream;
        CudaDriver.DestroyEvent(_copied);
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.FreeHostMemory(_memory));
    }
}
