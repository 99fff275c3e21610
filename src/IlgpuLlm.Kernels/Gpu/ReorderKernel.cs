using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>output[r, k] = x[r, order[k]], halves: rows in the order of a weight whose inputs were sorted by group. A group makes a row.</summary>
internal sealed class ReorderKernel(GpuDevice device)
{
    private const int GroupSize = 256;

    private static readonly GpuKernel Kernel = GpuKernel.Of("quantized.reorder", typeof(ReorderKernel), GroupSize);

    private readonly Launcher _launch = device.Load<Launcher>(Kernel);

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, ArrayView<ushort> x, ArrayView<int> order, ArrayView<ushort> output, int width);

    public static IReadOnlyList<GpuKernel> Variants => [Kernel];

    /// <summary>Queues it; shapes were checked.</summary>
    public void Launch(GpuBuffer x, GpuBuffer order, GpuBuffer output, int numRows, int width) =>
        _launch(device.Stream, new KernelConfig(numRows, device.GroupSize(GroupSize)), x.View<ushort>(), order.View<int>(), output.View<ushort>(), width);

    internal static void Body(ArrayView<ushort> x, ArrayView<int> order, ArrayView<ushort> output, int width)
    {
        long row = (long)Grid.IdxX * width;
        for (int k = Group.IdxX; k < width; k += Group.DimX)
            output[row + k] = x[row + order[k]];
    }
}
