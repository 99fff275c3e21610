using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="QuantizedPlainBody{TCodes, TRaw, TElement, TX, TOutput}"/>: every shape, floats or halves.</summary>
internal sealed class QuantizedPlainKernel(GpuDevice device)
{
    private const int WarpSize = 32;
    private const int GroupSize = 128;
    private const int MaxGridRows = 65535;

    private readonly Launcher<float>?[] _floats = new Launcher<float>?[FloatVariants.Length]; // compiled when first used: it is what else fails that needs them
    private readonly Launcher<ushort>?[] _halves = new Launcher<ushort>?[HalfVariants.Length];

    private delegate void Launcher<TX>(
        AcceleratorStream stream, KernelConfig config, ArrayView<byte> codes, ArrayView<uint> groups, ArrayView<int> order, ArrayView<TX> x,
        QuantizedOutput output, QuantizedShape shape)
        where TX : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [.. FloatVariants, .. HalfVariants];

    // Four of 4 bits, then four of 8, each in the order of LinearEpilogue.
    private static GpuKernel[] FloatVariants { get; } =
    [
        .. Outputs<Int4Codes, UInt4, F32Element, float, QuantizedSiluMulFloats>("int4.f32"),
        .. Outputs<Int8Codes, Int8Block, F32Element, float, QuantizedSiluMulFloats>("int8.f32"),
    ];

    private static GpuKernel[] HalfVariants { get; } =
    [
        .. Outputs<Int4Codes, UInt4, F16Element, ushort, QuantizedSiluMulHalves>("int4.f16"),
        .. Outputs<Int8Codes, Int8Block, F16Element, ushort, QuantizedSiluMulHalves>("int8.f16"),
    ];

    /// <summary>Queues the product; shapes were checked. silu(gate) * up is of the type of the input.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer input, QuantizedOutput output, LinearEpilogue epilogue)
    {
        int lanes = device.GroupSize(WarpSize), warps = device.GroupSize(GroupSize) / lanes;
        int features = epilogue == LinearEpilogue.GateUp ? weight.OutFeatures / 2 : weight.OutFeatures;
        var config = new KernelConfig(new Index3D((features + warps - 1) / warps, Math.Min(output.NumRows, MaxGridRows), 1), new Index3D(lanes, warps, 1));
        int variant = (weight.Quantization!.Bits == 4 ? 0 : 4) + (int)epilogue;
        if (input.Type == ElementType.F32)
            Launch(_floats[variant] ??= device.Load<Launcher<float>>(FloatVariants[variant]), config, weight, input, output);
        else
            Launch(_halves[variant] ??= device.Load<Launcher<ushort>>(HalfVariants[variant]), config, weight, input, output);
    }

    private void Launch<TX>(Launcher<TX> launch, KernelConfig config, GpuQuantizedWeight weight, GpuBuffer input, QuantizedOutput output)
        where TX : unmanaged
    {
        var shape = new QuantizedShape
        {
            InFeatures = weight.InFeatures,
            NumGroups = weight.NumGroups,
            GroupLength = weight.GroupLength,
            HasOrder = weight.InputOrder is null ? 0 : 1,
        };
        launch(
            device.Stream, config, weight.Codes.View<byte>(), weight.Groups.View<uint>(), (weight.InputOrder ?? weight.Groups).View<int>(), input.View<TX>(),
            output, shape);
    }

    private static GpuKernel[] Outputs<TCodes, TRaw, TElement, TX, TSiluMul>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where TElement : struct, IElement<TX>
        where TX : unmanaged
        where TSiluMul : struct, IQuantizedOutput =>
    [
        Kernel<TCodes, TRaw, TElement, TX, QuantizedHalves>($"{name}.store"),
        Kernel<TCodes, TRaw, TElement, TX, QuantizedFloats<MmaOverwrites>>($"{name}.store-f32"),
        Kernel<TCodes, TRaw, TElement, TX, QuantizedFloats<MmaAdds>>($"{name}.add"),
        Kernel<TCodes, TRaw, TElement, TX, TSiluMul>($"{name}.silu-mul"),
    ];

    private static GpuKernel Kernel<TCodes, TRaw, TElement, TX, TOutput>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where TElement : struct, IElement<TX>
        where TX : unmanaged
        where TOutput : struct, IQuantizedOutput =>
        GpuKernel.Of($"quantized.plain.{name}", typeof(QuantizedPlainBody<TCodes, TRaw, TElement, TX, TOutput>), GroupSize);
}
