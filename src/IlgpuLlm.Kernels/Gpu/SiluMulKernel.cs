using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>output[r, i] = silu(gateUp[r, i]) * gateUp[r, width + i]. A group makes a stretch of a row.</summary>
internal sealed class SiluMulKernel(GpuDevice device)
{
    private const int GroupSize = 256;
    private const int Stretch = 1024;

    private static readonly GpuKernel Kernel = GpuKernel.Of("silu-mul", typeof(SiluMulKernel), GroupSize);

    private readonly Launcher _launch = device.Load<Launcher>(Kernel);

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, ArrayView<float> gateUp, ArrayView<float> output, int width);

    public static IReadOnlyList<GpuKernel> Variants => [Kernel];

    public void Launch(GpuBuffer gateUp, GpuBuffer output, int numRows, int width)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Count(width, nameof(width));
        ShapeChecks.Buffer(gateUp, ElementType.F32, numRows, 2L * width, nameof(gateUp));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, width, nameof(output));
        if (numRows == 0 || width == 0)
            return;
        int stretches = (width + Stretch - 1) / Stretch;
        var config = new KernelConfig(checked(numRows * stretches), device.GroupSize(GroupSize));
        _launch(device.Stream, config, gateUp.View<float>(), output.View<float>(), width);
    }

    internal static void Body(ArrayView<float> gateUp, ArrayView<float> output, int width)
    {
        int stretches = (width + Stretch - 1) / Stretch;
        int row = Grid.IdxX / stretches;
        int first = Grid.IdxX % stretches * Stretch;
        int end = IntrinsicMath.Min(first + Stretch, width);
        long gate = 2L * row * width;
        long to = (long)row * width;
        for (int i = first + Group.IdxX; i < end; i += Group.DimX)
        {
            float x = gateUp[gate + i];
            output[to + i] = DeviceMath.Silu(x) * gateUp[gate + width + i];
        }
    }
}
