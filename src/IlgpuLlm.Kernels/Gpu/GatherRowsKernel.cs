using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>output[r] = source[indices[r]], widened to float: embeddings and the rows whose logits are wanted. A group copies a row.</summary>
internal sealed class GatherRowsKernel(GpuDevice device)
{
    private const int GroupSize = 256;

    private static readonly GpuKernel F32 = GpuKernel.Of("gather-rows.f32", typeof(Kernel<F32Element, float>), GroupSize);
    private static readonly GpuKernel F16 = GpuKernel.Of("gather-rows.f16", typeof(Kernel<F16Element, ushort>), GroupSize);

    private readonly Launcher<float> _float = device.Load<Launcher<float>>(F32);
    private readonly Launcher<ushort> _half = device.Load<Launcher<ushort>>(F16);

    private delegate void Launcher<T>(
        AcceleratorStream stream, KernelConfig config, ArrayView<T> source, ArrayView<int> indices, ArrayView<float> output, int width)
        where T : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [F32, F16];

    public void Launch(GpuBuffer source, GpuBuffer indices, GpuBuffer output, int numRows, int width)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Count(width, nameof(width));
        ShapeChecks.Buffer(indices, ElementType.I32, numRows, 1, nameof(indices));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, width, nameof(output));
        if (numRows == 0)
            return;
        var config = new KernelConfig(numRows, device.GroupSize(GroupSize));
        if (source.Type == ElementType.F32)
            _float(device.Stream, config, source.View<float>(), indices.View<int>(), output.View<float>(), width);
        else
            _half(device.Stream, config, source.View<ushort>(), indices.View<int>(), output.View<float>(), width);
    }

    internal static class Kernel<TElement, T>
        where TElement : struct, IElement<T>
        where T : unmanaged
    {
        internal static void Body(ArrayView<T> source, ArrayView<int> indices, ArrayView<float> output, int width)
        {
            long from = (long)indices[Grid.IdxX] * width;
            long to = (long)Grid.IdxX * width;
            for (int i = Group.IdxX; i < width; i += Group.DimX)
                output[to + i] = TElement.Widen(source[from + i]);
        }
    }
}
