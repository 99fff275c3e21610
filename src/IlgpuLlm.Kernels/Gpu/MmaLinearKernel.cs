using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of F16 weights with several rows on tensor cores (sm_80 and later). Activations are rounded to halves first, as every fp16 engine does;
/// sums are floats. A row's result is the same for every number of rows from two on.
/// </summary>
internal sealed class MmaLinearKernel
{
    /// <summary>Elements of k in a stage.</summary>
    public const int TileK = 64;

    /// <summary>Bytes of a row of a stage.</summary>
    public const int RowBytes = TileK * 2;

    private const int NarrowGroupSize = 256;
    private const int SmallestLargeBatch = 65;

    private static readonly GpuKernel NarrowVariant = GpuKernel.Of("narrow", typeof(Narrow), NarrowGroupSize) with { IsCudaOnly = true };

    private readonly CudaGpuDevice _device;
    private readonly NarrowLauncher _narrow;
    private readonly TileLauncher _small, _large;
    private GpuBuffer? _halves;

    public MmaLinearKernel(CudaGpuDevice device)
    {
        _device = device;
        _narrow = device.Load<NarrowLauncher>(NarrowVariant);
        _small = Tile<MmaShape2x2, MmaPair<MmaRows16>>.Load(device);
        _large = Tile<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>>.Load(device);
    }

    private delegate void NarrowLauncher(AcceleratorStream stream, KernelConfig config, ArrayView<float> source, ArrayView<uint> target, long numPairs);

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, long activations, long weight, MmaOutput output, int inFeatures);

    private delegate void TileLauncher(AcceleratorStream stream, long activations, GpuLinearWeight weight, MmaOutput output);

    public static IReadOnlyList<GpuKernel> Variants =>
        [NarrowVariant, Tile<MmaShape2x2, MmaPair<MmaRows16>>.Kernel, Tile<MmaShape2x4, MmaPair<MmaPair<MmaRows16>>>.Kernel];

    /// <summary>The bytes of the rounded activations.</summary>
    public static long WorkspaceBytes(int maxTokens, int maxInFeatures) => 2L * maxTokens * maxInFeatures;

    /// <summary>Allocates the rounded activations.</summary>
    public void Reserve(int maxTokens, int maxInFeatures)
    {
        _halves?.Dispose();
        _halves = GpuBuffer.Allocate(_device, ElementType.F16, (long)maxTokens * maxInFeatures);
    }

    /// <summary>Whether this product can be made here.</summary>
    public bool Supports(GpuLinearWeight weight, int numRows) =>
        weight.Storage == ElementType.F16 && numRows > 1 && weight.InFeatures % TileK == 0 && _halves?.Length >= (long)numRows * weight.InFeatures;

    /// <summary>output = input W^T + bias; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows)
    {
        long numPairs = (long)numRows * weight.InFeatures / 2;
        var narrow = new KernelConfig(checked((int)((numPairs + NarrowGroupSize - 1) / NarrowGroupSize)), NarrowGroupSize);
        _narrow(_device.Stream, narrow, input.View<float>(), _halves!.View<uint>(), numPairs);
        var target = new MmaOutput
        {
            Values = output.View<float>(),
            Bias = weight.Bias?.View<float>() ?? output.View<float>(),
            HasBias = weight.HasBias ? 1 : 0,
            NumRows = numRows,
            NumColumns = weight.OutFeatures,
        };
        (numRows < SmallestLargeBatch ? _small : _large)(_device.Stream, _halves.Address, weight, target);
    }

    public void Dispose() => _halves?.Dispose();

    private static class Tile<TShape, TTile>
        where TShape : struct, IMmaShape
        where TTile : unmanaged, IMmaTile<TTile>
    {
        private static int TileM => MmaLinearBody<TShape, TTile>.TileM;

        private static int TileN => MmaLinearBody<TShape, TTile>.TileN;

        public static GpuKernel Kernel { get; } =
            GpuKernel.Of($"linear.mma.{TileM}x{TileN}", typeof(MmaLinearBody<TShape, TTile>), MmaLinearBody<TShape, TTile>.GroupSize) with
            {
                IsCudaOnly = true,
                DynamicSharedBytes = MmaLinearBody<TShape, TTile>.SharedBytes,
            };

        public static TileLauncher Load(GpuDevice device)
        {
            var launch = device.Load<Launcher>(Kernel);
            var shared = SharedMemoryConfig.RequestDynamic<byte>(Kernel.DynamicSharedBytes);
            return (stream, activations, weight, output) =>
            {
                // Groups of the same columns are neighbours: they find each other's weights in the L2 cache.
                var groups = new Index3D((output.NumRows + TileM - 1) / TileM, (output.NumColumns + TileN - 1) / TileN, 1);
                launch(stream, new KernelConfig(groups, new Index3D(Kernel.GroupSize, 1, 1), shared), activations, weight.Matrix.Address, output, weight.InFeatures);
            };
        }
    }

    internal static class Narrow
    {
        internal static void Body(ArrayView<float> source, ArrayView<uint> target, long numPairs)
        {
            long i = (long)Grid.IdxX * Group.DimX + Group.IdxX;
            if (i < numPairs)
                target[i] = PtxIntrinsics.PackHalves(source[2 * i], source[2 * i + 1]);
        }
    }
}
