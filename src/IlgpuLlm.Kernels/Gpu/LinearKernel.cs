using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="LinearBody{TFormat, TStorage, TRaw, TChunk, TTile}"/> in the variant that fits the weight and the batch.</summary>
/// <param name="device">The device.</param>
/// <param name="isBatchInvariant">Whether batches of every size get the largest tile: the same instructions for each row.</param>
internal sealed class LinearKernel(GpuDevice device, bool isBatchInvariant = false)
{
    private const int WarpSize = 32;
    private const int GroupSize = 256;

    private readonly Formats<float> _float = new(device, F32Variants, isBatchInvariant);
    private readonly Formats<ushort> _half = new(device, F16Variants, isBatchInvariant);

    private delegate void Launcher<TStorage>(
        AcceleratorStream stream, KernelConfig config, ArrayView<TStorage> weight, ArrayView<float> bias, int hasBias, int accumulate, ArrayView<float> x,
        ArrayView<float> output, int numRows, int outFeatures, int inFeatures)
        where TStorage : unmanaged;

    /// <summary>The kernels: two storage types, aligned or not, four or eight tokens a tile; one token where it is not aligned.</summary>
    public static IReadOnlyList<GpuKernel> Variants => [.. F32Variants, .. F16Variants];

    private static GpuKernel[] F32Variants { get; } =
    [
        .. Tiles<F32Vector, float, Float4, Float4>("f32.vector")[1..],
        .. Tiles<F32Scalar, float, Float4, Float4>("f32.scalar"),
    ];

    private static GpuKernel[] F16Variants { get; } =
    [
        .. Tiles<F16Vector, ushort, UInt4, Float8>("f16.vector")[1..],
        .. Tiles<F16Scalar, ushort, UInt4, Float8>("f16.scalar"),
    ];

    /// <summary>output = input W^T + bias, or output += that; shapes were checked.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, bool accumulate)
    {
        if (numRows == 0)
            return;
        if (weight.Storage == ElementType.F32)
            _float.Launch(weight, input, output, numRows, accumulate);
        else
            _half.Launch(weight, input, output, numRows, accumulate);
    }

    private static GpuKernel[] Tiles<TFormat, TStorage, TRaw, TChunk>(string name)
        where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
        where TStorage : unmanaged
        where TRaw : unmanaged
        where TChunk : unmanaged =>
    [
        GpuKernel.Of($"linear.{name}.x1", typeof(LinearBody<TFormat, TStorage, TRaw, TChunk, OneToken>), GroupSize),
        GpuKernel.Of($"linear.{name}.x4", typeof(LinearBody<TFormat, TStorage, TRaw, TChunk, PairOf<PairOf<OneToken>>>), GroupSize),
        GpuKernel.Of($"linear.{name}.x8", typeof(LinearBody<TFormat, TStorage, TRaw, TChunk, PairOf<PairOf<PairOf<OneToken>>>>), GroupSize),
    ];

    /// <summary>The variants of one storage type: aligned ones of 4 and 8 tokens (one is <see cref="GemvKernel"/>'s), then others of 1, 4 and 8.</summary>
    private sealed class Formats<TStorage>(GpuDevice device, GpuKernel[] variants, bool isBatchInvariant)
        where TStorage : unmanaged
    {
        private readonly Launcher<TStorage>[] _aligned = [.. variants[..2].Select(device.Load<Launcher<TStorage>>)];
        private readonly Launcher<TStorage>?[] _unaligned = new Launcher<TStorage>?[3]; // compiled on demand: 0.3 s that few models need

        public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, bool accumulate)
        {
            var matrix = weight.Matrix.View<TStorage>();
            var x = input.View<float>();
            bool isAligned = Chunks.IsAligned(matrix, weight.InFeatures) && Chunks.IsAligned(x, weight.InFeatures);
            (int tile, int tokens) = isBatchInvariant ? (2, 8) : numRows switch { 1 when !isAligned => (0, 1), <= 4 => (1, 4), _ => (2, 8) };
            int lanes = device.GroupSize(WarpSize);
            int features = device.GroupSize(GroupSize) / lanes;
            long groups = (long)((numRows + tokens - 1) / tokens) * ((weight.OutFeatures + features - 1) / features);
            var config = new KernelConfig(new Index3D(checked((int)groups), 1, 1), new Index3D(lanes, features, 1));
            var launch = isAligned ? _aligned[tile - 1] : _unaligned[tile] ??= device.Load<Launcher<TStorage>>(variants[2 + tile]);
            launch(
                device.Stream, config, matrix, weight.Bias?.View<float>() ?? x, weight.HasBias ? 1 : 0, accumulate ? 1 : 0, x, output.View<float>(),
                numRows, weight.OutFeatures, weight.InFeatures);
        }
    }
}
