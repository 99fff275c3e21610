using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="NormGemvBody{TFormat, TStorage, TRaw, TX, TChunk, TElement, TOutput, TOut}"/>: products of one row of floats that is normalized before, with
/// weights of floats, and with weights of halves after the row was rounded to halves.
/// </summary>
internal sealed class NormGemvKernel(GpuDevice device)
{
    // Compiled when a model first needs one.
    private Launcher<float, float>? _floats, _floatSiluMul;
    private Launcher<ushort, float>? _halfFloats;
    private Launcher<ushort, ushort>? _halves, _halfSiluMul;

    private delegate void Launcher<TStorage, TOut>(
        AcceleratorStream stream, KernelConfig config, ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon,
        ArrayView<TOut> output, GemvShape shape)
        where TStorage : unmanaged
        where TOut : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [Floats, FloatSiluMul, HalfFloats, Halves, HalfSiluMul];

    private static GpuKernel Floats { get; } = OfFloats<GemvStore<F32Element, float>>("store");

    private static GpuKernel FloatSiluMul { get; } = OfFloats<GemvSiluMul<F32Element, float>>("silu-mul");

    private static GpuKernel HalfFloats { get; } = OfHalves<GemvStore<F32Element, float>, float>("store");

    private static GpuKernel Halves { get; } = OfHalves<GemvStore<F16Element, ushort>, ushort>("store-f16");

    private static GpuKernel HalfSiluMul { get; } = OfHalves<GemvSiluMul<F16Element, ushort>, ushort>("silu-mul");

    /// <summary>Whether this product can be made here; the row that is multiplied is of the weight's type.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, GpuBuffer normed, int numRows) =>
        GemvKernel.Supports(weight, normed, numRows) && normed.Type == weight.Storage && weight.InFeatures <= NormedRow.MaxWidth
        && Chunks.IsAligned(x.View<byte>(), 16) && Chunks.IsAligned(norm.View<byte>(), 16);

    /// <summary>Queues the product; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, GpuBuffer output, LinearEpilogue epilogue)
    {
        if (weight.Storage == ElementType.F32 && epilogue == LinearEpilogue.GateUp)
            Launch(ref _floatSiluMul, FloatSiluMul, weight, x, norm, epsilon, output, epilogue);
        else if (weight.Storage == ElementType.F32)
            Launch(ref _floats, Floats, weight, x, norm, epsilon, output, epilogue);
        else if (epilogue == LinearEpilogue.GateUp)
            Launch(ref _halfSiluMul, HalfSiluMul, weight, x, norm, epsilon, output, epilogue);
        else if (epilogue == LinearEpilogue.Halves)
            Launch(ref _halves, Halves, weight, x, norm, epsilon, output, epilogue);
        else
            Launch(ref _halfFloats, HalfFloats, weight, x, norm, epsilon, output, epilogue);
    }

    private static GpuKernel OfFloats<TOutput>(string name)
        where TOutput : struct, IGemvOutput<float> =>
        Of($"f32.{name}", typeof(NormGemvBody<F32Row, float, Float4, float, Float4, F32Element, TOutput, float>), ElementType.F32);

    private static GpuKernel OfHalves<TOutput, TOut>(string name)
        where TOutput : struct, IGemvOutput<TOut>
        where TOut : unmanaged =>
        Of($"f16.{name}", typeof(NormGemvBody<HalfRow, ushort, UInt4, ushort, Float8, F16Element, TOutput, TOut>), ElementType.F16);

    private static GpuKernel Of(string name, Type body, ElementType type) =>
        GpuKernel.Of($"gemv.norm.{name}", body, GemvKernel.GroupSize) with { DynamicSharedBytes = NormedRow.SharedBytes(NormedRow.MaxWidth, type) };

    private void Launch<TStorage, TOut>(
        ref Launcher<TStorage, TOut>? launcher, GpuKernel kernel, GpuLinearWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, GpuBuffer output, LinearEpilogue epilogue)
        where TStorage : unmanaged
        where TOut : unmanaged
    {
        launcher ??= device.Load<Launcher<TStorage, TOut>>(kernel);
        var config = GemvKernel.ConfigOf(device, weight, SharedMemoryConfig.RequestDynamic<byte>(NormedRow.SharedBytes(weight.InFeatures, weight.Storage)));
        launcher(
            device.Stream, config, weight.Matrix.View<TStorage>(), weight.Bias?.View<float>() ?? output.View<float>(), x.View<float>(), norm.View<float>(), epsilon,
            output.View<TOut>(), GemvKernel.ShapeOf(weight, epilogue));
    }
}
