using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// output[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, with or without adding to the residual first. A group of 512 lanes makes a row: at one
/// token and 4096 elements a warp alone would take 30 us, most of it waiting.
/// </summary>
internal sealed class RmsNormKernel(GpuDevice device)
{
    private const int GroupSize = 512;

    private static readonly GpuKernel Plain = GpuKernel.Of("rms-norm", typeof(Normalize), GroupSize);
    private static readonly GpuKernel WithResidual = GpuKernel.Of("add-rms-norm", typeof(AddAndNormalize), GroupSize);

    private readonly PlainLauncher _plain = device.Load<PlainLauncher>(Plain);
    private readonly ResidualLauncher _withResidual = device.Load<ResidualLauncher>(WithResidual);

    private delegate void PlainLauncher(
        AcceleratorStream stream, KernelConfig config, ArrayView<float> x, ArrayView<float> weight, ArrayView<float> output, int width, float epsilon);

    private delegate void ResidualLauncher(
        AcceleratorStream stream, KernelConfig config, ArrayView<float> residual, ArrayView<float> delta, ArrayView<float> weight,
        ArrayView<float> output, int width, float epsilon);

    public static IReadOnlyList<GpuKernel> Variants => [Plain, WithResidual];

    public void Launch(GpuBuffer x, GpuBuffer weight, GpuBuffer output, int numRows, float epsilon)
    {
        int width = CheckShapes(weight, output, numRows);
        ShapeChecks.Buffer(x, ElementType.F32, numRows, width, nameof(x));
        if (numRows > 0)
            _plain(device.Stream, Config(numRows), x.View<float>(), weight.View<float>(), output.View<float>(), width, epsilon);
    }

    public void LaunchAdd(GpuBuffer residual, GpuBuffer delta, GpuBuffer weight, GpuBuffer output, int numRows, float epsilon)
    {
        int width = CheckShapes(weight, output, numRows);
        ShapeChecks.Buffer(residual, ElementType.F32, numRows, width, nameof(residual));
        ShapeChecks.Buffer(delta, ElementType.F32, numRows, width, nameof(delta));
        if (numRows > 0)
        {
            _withResidual(
                device.Stream, Config(numRows), residual.View<float>(), delta.View<float>(), weight.View<float>(), output.View<float>(), width, epsilon);
        }
    }

    /// <summary>Checks what both kernels have and returns the row length.</summary>
    private static int CheckShapes(GpuBuffer weight, GpuBuffer output, int numRows)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Buffer(weight, ElementType.F32, 1, 1, nameof(weight));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, weight.Length, nameof(output));
        return checked((int)weight.Length);
    }

    private KernelConfig Config(int numRows) => new(numRows, device.GroupSize(GroupSize));

    /// <summary>Scales a row of x, whose lanes have added up <paramref name="squares"/> each.</summary>
    private static void Scale(ArrayView<float> x, ArrayView<float> weight, ArrayView<float> output, long row, int width, float epsilon, float squares)
    {
        float sum = GroupOps.Sum(squares, SharedMemory.Allocate<float>(GroupSize));
        float scale = 1f / MathF.Sqrt(sum / width + epsilon);
        for (int i = Group.IdxX; i < width; i += Group.DimX)
            output[row + i] = x[row + i] * scale * weight[i];
    }

    internal static class Normalize
    {
        internal static void Body(ArrayView<float> x, ArrayView<float> weight, ArrayView<float> output, int width, float epsilon)
        {
            long row = (long)Grid.IdxX * width;
            float squares = 0f;
            for (int i = Group.IdxX; i < width; i += Group.DimX)
                squares += x[row + i] * x[row + i];
            Scale(x, weight, output, row, width, epsilon, squares);
        }
    }

    internal static class AddAndNormalize
    {
        internal static void Body(
            ArrayView<float> residual, ArrayView<float> delta, ArrayView<float> weight, ArrayView<float> output, int width, float epsilon)
        {
            long row = (long)Grid.IdxX * width;
            float squares = 0f;
            for (int i = Group.IdxX; i < width; i += Group.DimX)
            {
                float sum = residual[row + i] + delta[row + i];
                residual[row + i] = sum; // read again in Scale by this lane alone
                squares += sum * sum;
            }
            Scale(residual, weight, output, row, width, epsilon, squares);
        }
    }
}
