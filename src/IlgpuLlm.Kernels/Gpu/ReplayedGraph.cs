namespace IlgpuLlm.Kernels.Gpu;

/// <summary>For ILGPU's CPU accelerator, which cannot record: queues the operations anew at every launch. So what is built on graphs is tested without a GPU.</summary>
internal sealed class ReplayedGraph(Action operations) : DeviceGraph
{
    /// <inheritdoc/>
    public override void Launch() => operations();

    /// <inheritdoc/>
    public override void Dispose()
    {
    }
}
