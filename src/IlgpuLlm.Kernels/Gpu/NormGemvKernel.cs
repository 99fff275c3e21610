using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="NormGemvBody{TOutput}"/>: products of one row of floats that is normalized before and rounded to halves, with weights of halves, to halves. Of
/// floats there are none: measured, a decode step of Llama-2-7B's shape is 1 % faster with halves; with floats no gain was seen.
/// </summary>
internal sealed class NormGemvKernel(GpuDevice device)
{
    private Launcher? _halves, _siluMul;

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, ArrayView<ushort> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon,
        ArrayView<ushort> output, GemvShape shape);

    public static IReadOnlyList<GpuKernel> Variants => [Halves, SiluMul];

    private static GpuKernel Halves { get; } = Of("store-f16", typeof(NormGemvBody<GemvStore<F16Element, ushort>>));

    private static GpuKernel SiluMul { get; } = Of("silu-mul", typeof(NormGemvBody<GemvSiluMul<F16Element, ushort>>));

    /// <summary>Whether this product can be made here.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, GpuBuffer normed, int numRows) =>
        weight.Storage == ElementType.F16 && normed.Type == ElementType.F16 && GemvKernel.Supports(weight, normed, numRows) && weight.InFeatures <= NormedRow.MaxWidth
        && Chunks.IsAligned(x.View<byte>(), 16) && Chunks.IsAligned(norm.View<byte>(), 16);

    /// <summary>Begins to compile the kernels: when a model first has weights of halves, so beside their loading.</summary>
    public void Prepare()
    {
        _halves ??= device.Load<Launcher>(Halves);
        _siluMul ??= device.Load<Launcher>(SiluMul);
    }

    /// <summary>Queues the product; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, GpuBuffer output, LinearEpilogue epilogue)
    {
        Prepare();
        var launch = epilogue == LinearEpilogue.GateUp ? _siluMul! : _halves!;
        var config = GemvKernel.ConfigOf(device, weight, SharedMemoryConfig.RequestDynamic<byte>(NormedRow.SharedBytes(weight.InFeatures)));
        launch(
            device.Stream, config, weight.Matrix.View<ushort>(), weight.Bias?.View<float>() ?? output.View<float>(), x.View<float>(), norm.View<float>(), epsilon,
            output.View<ushort>(), GemvKernel.ShapeOf(weight, epilogue));
    }

    private static GpuKernel Of(string name, Type body) =>
        GpuKernel.Of($"gemv.norm.f16.{name}", body, GemvKernel.GroupSize) with { DynamicSharedBytes = NormedRow.SharedBytes(NormedRow.MaxWidth) };
}
