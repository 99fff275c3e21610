using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of halves, or of floats rounded to TF32, on tensor cores by mma.sync (sm_80 and later); sums are floats. A row's result is the same for every
/// number of rows.
/// </summary>
internal sealed class MmaLinearKernel
{
    /// <summary>Halves of k in a stage.</summary>
    public const int TileK = 64;

    /// <summary>Bytes of a row of a stage.</summary>
    public const int RowBytes = TileK * 2;

    private const int SmallestLargeBatch = 65;

    private readonly IOutputs _small, _large;

    /// <param name="device">The device.</param>
    /// <param name="isTf32">Whether weights and activations are F32, rounded to TF32; otherwise they are F16.</param>
    public MmaLinearKernel(GpuDevice device, bool isTf32 = false)
    {
        _small = isTf32 ? new Outputs<MmaShape2x2, MmaPair<MmaTf32Rows16>>(device, isTf32) : new Outputs<MmaShape2x2, MmaPair<MmaRows16>>(device, isTf32);
        _large = isTf32
            ? new Outputs<MmaShape2x4, MmaPair<MmaPair<MmaTf32Rows16>>>(device, isTf32)
            : new Outputs<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>>(device, isTf32);
    }

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, long activations, long weight, MmaOutput output, int inFeatures);

    /// <summary>The variants of one tile.</summary>
    private interface IOutputs
    {
        void Launch(GpuLinearWeight weight, GpuBuffer input, MmaOutput output, LinearEpilogue epilogue);
    }

    public static IReadOnlyList<GpuKernel> Variants =>
    [
        .. Outputs<MmaShape2x2, MmaPair<MmaRows16>>.Kernels, .. Outputs<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>>.Kernels,
        .. Outputs<MmaShape2x2, MmaPair<MmaTf32Rows16>>.FloatKernels, .. Outputs<MmaShape2x4, MmaPair<MmaPair<MmaTf32Rows16>>>.FloatKernels,
    ];

    /// <summary>Whether this product of halves can be made here: rows of a multiple of 64.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer input) =>
        weight.Storage == ElementType.F16 && input.Type == ElementType.F16 && weight.InFeatures % TileK == 0;

    /// <summary>Whether this product of floats can be made as TF32: rows of a multiple of 32, stored or added as floats.</summary>
    public static bool SupportsTf32(GpuLinearWeight weight, GpuBuffer input, LinearEpilogue epilogue) =>
        weight.Storage == ElementType.F32 && input.Type == ElementType.F32 && weight.InFeatures % (TileK / 2) == 0 && input.Address % 16 == 0
        && epilogue is LinearEpilogue.Floats or LinearEpilogue.Residual;

    /// <summary>Queues the product; shapes were checked. Halves are stored in an even number of columns, and gate and up lie in blocks of 8.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        var target = new MmaOutput
        {
            Floats = output.View<float>(),
            Pairs = output.View<uint>(),
            Bias = weight.Bias?.View<float>() ?? output.View<float>(),
            HasBias = weight.HasBias ? 1 : 0,
            NumRows = numRows,
            NumColumns = weight.OutFeatures,
        };
        if (numRows < SmallestLargeBatch)
            _small.Launch(weight, input, target, epilogue);
        else
            _large.Launch(weight, input, target, epilogue);
    }

    private sealed class Outputs<TShape, TTile>(GpuDevice device, bool isTf32) : IOutputs
        where TShape : struct, IMmaShape
        where TTile : unmanaged, IMmaTile<TTile>
    {
        private readonly Launcher[] _launchers = [.. (isTf32 ? FloatKernels : Kernels).Select(device.Load<Launcher>)];

        // In the order of LinearEpilogue.
        public static GpuKernel[] Kernels { get; } =
            [Kernel<MmaStoreHalves>("store"), Kernel<MmaFloats<MmaOverwrites>>("store-f32"), Kernel<MmaFloats<MmaAdds>>("add"), Kernel<MmaStoreSiluMul>("silu-mul")];

        public static GpuKernel[] FloatKernels { get; } = [Kernel<MmaFloats<MmaOverwrites>>("tf32.store"), Kernel<MmaFloats<MmaAdds>>("tf32.add")];

        private static int TileM => MmaLinearBody<TShape, TTile, MmaStoreHalves>.TileM;

        private static int TileN => MmaLinearBody<TShape, TTile, MmaStoreHalves>.TileN;

        public void Launch(GpuLinearWeight weight, GpuBuffer input, MmaOutput output, LinearEpilogue epilogue)
        {
            var launch = _launchers[isTf32 ? epilogue - LinearEpilogue.Floats : (int)epilogue];
            // Groups of the same columns are neighbours: they find each other's weights in the L2 cache.
            var groups = new Index3D((output.NumRows + TileM - 1) / TileM, (output.NumColumns + TileN - 1) / TileN, 1);
            var config = new KernelConfig(groups, new Index3D(Kernels[0].GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(Kernels[0].DynamicSharedBytes));
            launch(device.Stream, config, input.Address, weight.Matrix.Address, output, weight.InFeatures * (isTf32 ? 2 : 1));
        }

        private static GpuKernel Kernel<TOutput>(string name)
            where TOutput : struct, IMmaOutput =>
            GpuKernel.Of($"linear.mma.{TileM}x{TileN}.{name}", typeof(MmaLinearBody<TShape, TTile, TOutput>), MmaLinearBody<TShape, TTile, TOutput>.GroupSize) with
            {
                IsCudaOnly = true,
                DynamicSharedBytes = MmaLinearBody<TShape, TTile, TOutput>.SharedBytes,
            };
    }
}
