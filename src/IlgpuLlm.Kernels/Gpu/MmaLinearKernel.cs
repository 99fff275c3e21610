using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of halves on tensor cores by mma.sync (sm_80 and later); sums are floats. A row's result is the same for every number of rows.
/// </summary>
internal sealed class MmaLinearKernel(CudaGpuDevice device)
{
    /// <summary>Elements of k in a stage.</summary>
    public const int TileK = 64;

    /// <summary>Bytes of a row of a stage.</summary>
    public const int RowBytes = TileK * 2;

    private const int SmallestLargeBatch = 65;

    private readonly Outputs<MmaShape2x2, MmaPair<MmaRows16>> _small = new(device);
    private readonly Outputs<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>> _large = new(device);

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, long activations, long weight, MmaOutput output, int inFeatures);

    public static IReadOnlyList<GpuKernel> Variants =>
        [.. Outputs<MmaShape2x2, MmaPair<MmaRows16>>.Kernels, .. Outputs<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>>.Kernels];

    /// <summary>Whether this product can be made here: halves, rows of a multiple of 64.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer input) =>
        weight.Storage == ElementType.F16 && input.Type == ElementType.F16 && weight.InFeatures % TileK == 0;

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

    /// <summary>The variants of one tile.</summary>
    private sealed class Outputs<TShape, TTile>(CudaGpuDevice device)
        where TShape : struct, IMmaShape
        where TTile : unmanaged, IMmaTile<TTile>
    {
        private readonly Launcher[] _launchers = [.. Kernels.Select(device.Load<Launcher>)];

        // In the order of LinearEpilogue.
        public static GpuKernel[] Kernels { get; } =
            [Kernel<MmaStoreHalves>("store"), Kernel<MmaStoreFloats>("store-f32"), Kernel<MmaAddFloats>("add"), Kernel<MmaStoreSiluMul>("silu-mul")];

        private static int TileM => MmaLinearBody<TShape, TTile, MmaStoreHalves>.TileM;

        private static int TileN => MmaLinearBody<TShape, TTile, MmaStoreHalves>.TileN;

        public void Launch(GpuLinearWeight weight, GpuBuffer input, MmaOutput output, LinearEpilogue epilogue)
        {
            var launch = _launchers[(int)epilogue];
            // Groups of the same columns are neighbours: they find each other's weights in the L2 cache.
            var groups = new Index3D((output.NumRows + TileM - 1) / TileM, (output.NumColumns + TileN - 1) / TileN, 1);
            var config = new KernelConfig(groups, new Index3D(Kernels[0].GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(Kernels[0].DynamicSharedBytes));
            launch(device.Stream, config, input.Address, weight.Matrix.Address, output, weight.InFeatures);
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
