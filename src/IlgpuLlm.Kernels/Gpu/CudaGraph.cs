using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A CUDA graph of everything that was queued to a stream while it was recorded. Where the device can, a kernel is launched before the one in front of
/// it has ended: all kernels wait by themselves (<see cref="Ptx.PtxPatch"/>).
/// </summary>
internal sealed class CudaGraph : DeviceGraph
{
    private readonly CudaStream _stream;
    private nint _executable;

    public CudaGraph(CudaStream stream, bool launchesEarly, Action operations)
    {
        _stream = stream;
        CudaDriver.BeginCapture(stream.StreamPtr);
        try
        {
            operations();
        }
        finally
        {
            // Also after an error: a stream that records is of no other use.
            _executable = CudaDriver.EndCapture(stream.StreamPtr, launchesEarly);
        }
    }

    /// <inheritdoc/>
    public override void Launch() => CudaDriver.LaunchGraph(_executable, _stream.StreamPtr);

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_executable != 0)
            CudaDriver.DestroyGraph(_executable);
        _executable = 0;
    }
}
