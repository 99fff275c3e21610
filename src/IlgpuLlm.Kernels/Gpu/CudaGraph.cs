using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A CUDA graph of everything that was queued to a stream while it was recorded.</summary>
internal sealed class CudaGraph : DeviceGraph
{
    private readonly CudaStream _stream;
    private nint _executable;

    public CudaGraph(CudaStream stream, Action operations)
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
            _executable = CudaDriver.EndCapture(stream.StreamPtr);
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
