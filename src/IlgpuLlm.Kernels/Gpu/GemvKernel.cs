using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="GemvBody{TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut}"/>: products of one row, 16-byte aligned.</summary>
internal sealed class GemvKernel(GpuDevice device)
{
    private const int WarpSize = 32;
    public const int GroupSize = 128;

    private readonly Outputs<float, float, float> _float = new(device, F32Variants);
    private readonly Outputs<ushort, float, float> _mixed = new(device, MixedVariants);
    private readonly Outputs<ushort, ushort, ushort> _half = new(device, F16Variants);
    private readonly Launcher<ushort, ushort, ushort> _storeHalves = device.Load<Launcher<ushort, ushort, ushort>>(StoreHalvesVariant);

    private delegate void Launcher<TStorage, TX, TOut>(
        AcceleratorStream stream, KernelConfig config, ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<TX> x, ArrayView<TOut> output, GemvShape shape)
        where TStorage : unmanaged
        where TX : unmanaged
        where TOut : unmanaged;

    /// <summary>The kernels: floats; halves times floats; halves throughout. Each stores floats, adds to floats, or multiplies gate and up.</summary>
    public static IReadOnlyList<GpuKernel> Variants => [.. F32Variants, .. MixedVariants, .. F16Variants, StoreHalvesVariant];

    private static GpuKernel[] F32Variants { get; } = Variant<F32Row, float, Float4, float, Float4, F32Element, float>("f32");

    private static GpuKernel[] MixedVariants { get; } = Variant<MixedRow, ushort, UInt4, float, Float8, F32Element, float>("f16xf32");

    private static GpuKernel[] F16Variants { get; } = Variant<HalfRow, ushort, UInt4, ushort, Float8, F16Element, ushort>("f16");

    private static GpuKernel StoreHalvesVariant { get; } =
        GpuKernel.Of("gemv.f16.store-f16", typeof(GemvBody<HalfRow, ushort, UInt4, ushort, Float8, GemvStore<F16Element, ushort>, ushort>), GroupSize);

    /// <summary>Whether this product can be made here.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer input, int numRows) =>
        numRows == 1 && Chunks.IsAligned(weight.Matrix.View<byte>(), (long)weight.InFeatures * weight.Storage.SizeInBytes())
        && Chunks.IsAligned(input.View<byte>(), 16) && (input.Type == ElementType.F32 || weight.Storage == ElementType.F16);

    /// <summary>Queues the product; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, LinearEpilogue epilogue)
    {
        if (weight.Storage == ElementType.F32)
            _float.Launch(weight, input, output, epilogue);
        else if (input.Type == ElementType.F32)
            _mixed.Launch(weight, input, output, epilogue);
        else if (epilogue == LinearEpilogue.Halves)
            Launch(device, _storeHalves, weight, input, output, epilogue);
        else
            _half.Launch(weight, input, output, epilogue);
    }

    /// <summary>A group of lanes for each few pairs of features.</summary>
    internal static KernelConfig ConfigOf(GpuDevice device, GpuLinearWeight weight, SharedMemoryConfig shared = default)
    {
        int numPairs = (weight.OutFeatures + 1) / 2;
        int lanes = device.GroupSize(WarpSize), warps = device.GroupSize(GroupSize) / lanes;
        return new(new Index3D((numPairs + warps - 1) / warps, 1, 1), new Index3D(lanes, warps, 1), shared);
    }

    /// <summary>A product's sizes.</summary>
    internal static GemvShape ShapeOf(GpuLinearWeight weight, LinearEpilogue epilogue) => new()
    {
        OutFeatures = weight.OutFeatures,
        InFeatures = weight.InFeatures,
        HasBias = weight.HasBias ? 1 : 0,
        Distance = epilogue == LinearEpilogue.GateUp ? weight.UpOffset : 1,
    };

    private static GpuKernel[] Variant<TFormat, TStorage, TRaw, TX, TChunk, TElement, T>(string name)
        where TFormat : struct, IRowFormat<TStorage, TRaw, TX, TChunk>
        where TStorage : unmanaged
        where TRaw : unmanaged
        where TX : unmanaged
        where TChunk : unmanaged
        where TElement : struct, IElement<T>
        where T : unmanaged =>
    [
        GpuKernel.Of($"gemv.{name}.store", typeof(GemvBody<TFormat, TStorage, TRaw, TX, TChunk, GemvStore<F32Element, float>, float>), GroupSize),
        GpuKernel.Of($"gemv.{name}.add", typeof(GemvBody<TFormat, TStorage, TRaw, TX, TChunk, GemvAdd, float>), GroupSize),
        GpuKernel.Of($"gemv.{name}.silu-mul", typeof(GemvBody<TFormat, TStorage, TRaw, TX, TChunk, GemvSiluMul<TElement, T>, T>), GroupSize),
    ];

    private static void Launch<TStorage, TX, TOut>(
        GpuDevice device, Launcher<TStorage, TX, TOut> launch, GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, LinearEpilogue epilogue)
        where TStorage : unmanaged
        where TX : unmanaged
        where TOut : unmanaged
    {
        launch(
            device.Stream, ConfigOf(device, weight), weight.Matrix.View<TStorage>(), weight.Bias?.View<float>() ?? output.View<float>(),
            input.View<TX>(), output.View<TOut>(), ShapeOf(weight, epilogue));
    }

    /// <summary>The variants of one format; MLP activations are <typeparamref name="TMlp"/>.</summary>
    private sealed class Outputs<TStorage, TX, TMlp>(GpuDevice device, GpuKernel[] variants)
        where TStorage : unmanaged
        where TX : unmanaged
        where TMlp : unmanaged
    {
        private readonly Launcher<TStorage, TX, float> _store = device.Load<Launcher<TStorage, TX, float>>(variants[0]);
        private readonly Launcher<TStorage, TX, float> _add = device.Load<Launcher<TStorage, TX, float>>(variants[1]);
        private readonly Launcher<TStorage, TX, TMlp> _siluMul = device.Load<Launcher<TStorage, TX, TMlp>>(variants[2]);

        public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, LinearEpilogue epilogue)
        {
            if (epilogue == LinearEpilogue.GateUp)
                GemvKernel.Launch(device, _siluMul, weight, input, output, epilogue);
            else
                GemvKernel.Launch(device, epilogue == LinearEpilogue.Residual ? _add : _store, weight, input, output, epilogue);
        }
    }
}
