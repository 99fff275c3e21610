using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="NormGemvBody{TOutput, TOut}"/>: products of one row of floats that is normalized before and rounded to halves, with weights of halves. Of floats
/// there are none: measured, a decode step of Llama-2-7B's shape is 1 % faster with halves, and with floats, whose weights take twice as long, not faster.
/// </summary>
internal sealed class NormGemvKernel(GpuDevice device)
{
    // Compiled when a model first needs one.
    private Launcher<float>? _floats;
    private Launcher<ushort>? _halves, _siluMul;

    private delegate void Launcher<TOut>(
        AcceleratorStream stream, KernelConfig config, ArrayView<ushort> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon,
        ArrayView<TOut> output, GemvShape shape)
        where TOut : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [Floats, Halves, SiluMul];

    private static GpuKernel Floats { get; } = Of("store", typeof(NormGemvBody<GemvStore<F32Element, float>, float>));

    private static GpuKernel Halves { get; } = Of("store-f16", typeof(NormGemvBody<GemvStore<F16Element, ushort>, ushort>));

    private static GpuKernel SiluMul { get; } = Of("silu-mul", typeof(NormGemvBody<GemvSiluMul<F16Element, ushort>, ushort>));

    /// <summary>Whether this product can be made here.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, GpuBuffer normed, int numRows) =>
        weight.Storage == ElementType.F16 && normed.Type == ElementType.F16 && GemvKernel.Supports(weight, normed, numRows) && weight.InFeatures <= NormedRow.MaxWidth
        && Chunks.IsAligned(x.View<byte>(), 16) && Chunks.IsAligned(norm.View<byte>(), 16);

    /// <summary>Queues the product; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, GpuBuffer output, LinearEpilogue epilogue)
    {
        if (epilogue == LinearEpilogue.GateUp)
            Launch(ref _siluMul, SiluMul, weight, x, norm, epsilon, output, epilogue);
        else if (epilogue == LinearEpilogue.Halves)
            Launch(ref _halves, Halves, weight, x, norm, epsilon, output, epilogue);
        else
            Launch(ref _floats, Floats, weight, x, norm, epsilon, output, epilogue);
    }

    private static GpuKernel Of(string name, Type body) =>
        GpuKernel.Of($"gemv.norm.f16.{name}", body, GemvKernel.GroupSize) with { DynamicSharedBytes = NormedRow.SharedBytes(NormedRow.MaxWidth, ElementType.F16) };

    private void Launch<TOut>(
        ref Launcher<TOut>? launcher, GpuKernel kernel, GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, GpuBuffer output, LinearEpilogue epilogue)
        where TOut : unmanaged
    {
        launcher ??= device.Load<Launcher<TOut>>(kernel);
        var config = GemvKernel.ConfigOf(device, weight, SharedMemoryConfig.RequestDynamic<byte>(NormedRow.SharedBytes(weight.InFeatures, ElementType.F16)));
        launcher(
            device.Stream, config, weight.Matrix.View<ushort>(), weight.Bias?.View<float>() ?? output.View<float>(), x.View<float>(), norm.View<float>(), epsilon,
            output.View<TOut>(), GemvKernel.ShapeOf(weight, epilogue));
    }
}
