using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Page-locked halves with a stream of their own, so that neither loading threads nor the device's operations wait for each other.</summary>
internal sealed class PinnedStaging : StagingBuffer
{
    private readonly CudaStream _stream;
    private readonly CudaStream _operations;
    private readonly nint _memory;
    private readonly nint[] _copied = new nint[2]; // an event a half
    private int _half;

    /// <param name="accelerator">The device.</param>
    /// <param name="operations">The stream of its operations.</param>
    public PinnedStaging(CudaAccelerator accelerator, CudaStream operations)
    {
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.AllocateHostMemory(out _memory, 2 * HalfByteLength));
        _operations = operations;
        _stream = (CudaStream)accelerator.CreateStream();
        for (int i = 0; i < _copied.Length; i++)
            _copied[i] = CudaDriver.CreateEvent();
    }

    private nint Half => _memory + _half * HalfByteLength;

    public override unsafe Span<byte> NextHalf()
    {
        _half ^= 1;
        CudaDriver.WaitForEvent(_copied[_half]); // at once if nothing was ever copied from it
        return new((void*)Half, HalfByteLength);
    }

    public override void CopyToDevice(nint destination, int runLength, int numRuns = 1, int stride = 0)
    {
        if (numRuns == 1)
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(destination, Half, runLength, _stream));
        else
            CudaDriver.CopyRunsToDevice(Half, destination, runLength, numRuns, stride, _stream.StreamPtr);
        CudaDriver.RecordEvent(_copied[_half], _stream.StreamPtr);
    }

    public override void Publish() => CudaDriver.StreamWaitsForEvent(_operations.StreamPtr, _copied[_half]);

    public override void Wait() => CudaDriver.WaitForEvent(_copied[_half]);

    public override void Dispose()
    {
        _stream.Synchronize();
        foreach (nint copied in _copied)
            CudaDriver.DestroyEvent(copied);
        _stream.Dispose();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.FreeHostMemory(_memory));
    }
}
