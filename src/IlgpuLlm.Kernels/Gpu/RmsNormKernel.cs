using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// output[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight. A group makes a row: at one token and 4096 elements a warp alone would take 30 us, most
/// of it waiting. A lane keeps its first four floats in registers: up to 4096 elements are read once.
/// </summary>
internal sealed class RmsNormKernel(GpuDevice device)
{
    private const int GroupSize = 1024;

    private static readonly GpuKernel F32 = GpuKernel.Of("rms-norm.f32", typeof(Vectors<F32Element, float>), GroupSize);
    private static readonly GpuKernel F16 = GpuKernel.Of("rms-norm.f16", typeof(Vectors<F16Element, ushort>), GroupSize);
    private static readonly GpuKernel Scalar = GpuKernel.Of("rms-norm.f32.scalar", typeof(Scalars), GroupSize);

    private readonly Launcher<float> _float = device.Load<Launcher<float>>(F32);
    private readonly Launcher<ushort> _half = device.Load<Launcher<ushort>>(F16);
    private Launcher<float>? _scalar; // compiled on demand: few models need it

    private delegate void Launcher<T>(
        AcceleratorStream stream, KernelConfig config, ArrayView<float> x, ArrayView<float> weight, ArrayView<T> output, int width, float epsilon)
        where T : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [F32, F16, Scalar];

    public void Launch(GpuBuffer x, GpuBuffer weight, GpuBuffer output, int numRows, float epsilon)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Buffer(weight, ElementType.F32, 1, 1, nameof(weight));
        int width = checked((int)weight.Length);
        ShapeChecks.Buffer(x, ElementType.F32, numRows, width, nameof(x));
        ShapeChecks.Activations(output, numRows, width, nameof(output));
        if (numRows == 0)
            return;
        bool isAligned = Chunks.IsAligned(x.View<float>(), width) && Chunks.IsAligned(weight.View<float>(), width);
        if (!isAligned && output.Type != ElementType.F32)
            throw new ArgumentException($"halves are made from aligned rows of a multiple of 4 elements, not {width}", nameof(x));
        int lanes = GroupSize;
        while (lanes > 32 && lanes / 2 * 4 >= width)
            lanes /= 2;
        var config = new KernelConfig(numRows, device.GroupSize(lanes));
        if (output.Type == ElementType.F16)
            _half(device.Stream, config, x.View<float>(), weight.View<float>(), output.View<ushort>(), width, epsilon);
        else
            (isAligned ? _float : _scalar ??= device.Load<Launcher<float>>(Scalar))(device.Stream, config, x.View<float>(), weight.View<float>(), output.View<float>(), width, epsilon);
    }

    private static float Scale(float squares, int width, float epsilon) =>
        NormedRow.Scale(squares, SharedMemory.Allocate<float>(GroupSize), width, epsilon);

    internal static class Scalars
    {
        internal static void Body(ArrayView<float> x, ArrayView<float> weight, ArrayView<float> output, int width, float epsilon)
        {
            long row = (long)Grid.IdxX * width;
            float squares = 0f;
            for (int i = Group.IdxX; i < width; i += Group.DimX)
                squares += x[row + i] * x[row + i];
            float scale = Scale(squares, width, epsilon);
            for (int i = Group.IdxX; i < width; i += Group.DimX)
                output[row + i] = x[row + i] * scale * weight[i];
        }
    }

    internal static class Vectors<TElement, T>
        where TElement : struct, IElement<T>
        where T : unmanaged
    {
        internal static void Body(ArrayView<float> x, ArrayView<float> weight, ArrayView<T> output, int width, float epsilon)
        {
            long row = (long)Grid.IdxX * width;
            int first = Group.IdxX * 4, step = Group.DimX * 4;
            Float4 own = default, ownWeight = default;
            float squares = 0f;
            if (first < width)
            {
                own = Chunks.LoadVector(x, row + first);
                ownWeight = Chunks.LoadVector(weight, first);
                squares = Chunks.Dot(own, own, 0f);
            }
            for (int i = first + step; i < width; i += step)
            {
                Float4 chunk = Chunks.LoadVector(x, row + i);
                squares = Chunks.Dot(chunk, chunk, squares);
            }
            float scale = Scale(squares, width, epsilon);
            if (first < width)
                TElement.Store4(output, row + first, NormedRow.Scaled(own, scale, ownWeight));
            for (int i = first + step; i < width; i += step)
                TElement.Store4(output, row + i, NormedRow.Scaled(Chunks.LoadVector(x, row + i), scale, Chunks.LoadVector(weight, i)));
        }
    }
}
