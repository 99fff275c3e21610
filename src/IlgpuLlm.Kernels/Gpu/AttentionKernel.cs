using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="AttentionBody{TFormat, TScaling, TStorage, TRaw, TChunk}"/> in the variant that fits the cache: a group a head of a token.</summary>
internal sealed class AttentionKernel(GpuDevice device)
{
    private const int GroupSize = 128;

    private readonly Formats<float> _float = new(device, F32Variants);
    private readonly Formats<ushort> _half = new(device, F16Variants);
    private Formats<byte>? _codes; // compiled on demand

    private delegate void Launcher<T>(
        AcceleratorStream stream, KernelConfig config, ArrayView<float> qkv, ArrayView<T> keys, ArrayView<T> values, ArrayView<float> keyScales,
        ArrayView<float> valueScales, ArrayView<int> positions, ArrayView<int> tokenSequences, ArrayView<int> blockTables, ArrayView<float> output, HeadLayout layout)
        where T : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [.. F32Variants, .. F16Variants, .. U8Variants];

    private static GpuKernel[] F32Variants { get; } =
    [
        GpuKernel.Of("attention.f32.vector", typeof(AttentionBody<F32Vector, Unscaled, float, Float4, Float4>), GroupSize),
        GpuKernel.Of("attention.f32.scalar", typeof(AttentionBody<F32Scalar, Unscaled, float, Float4, Float4>), GroupSize),
    ];

    private static GpuKernel[] F16Variants { get; } =
    [
        GpuKernel.Of("attention.f16.vector", typeof(AttentionBody<F16Vector, Unscaled, ushort, UInt4, Float8>), GroupSize),
        GpuKernel.Of("attention.f16.scalar", typeof(AttentionBody<F16Scalar, Unscaled, ushort, UInt4, Float8>), GroupSize),
    ];

    private static GpuKernel[] U8Variants { get; } =
    [
        GpuKernel.Of("attention.u8.vector", typeof(AttentionBody<U8Vector, Scaled, byte, UInt2, Float8>), GroupSize),
        GpuKernel.Of("attention.u8.scalar", typeof(AttentionBody<U8Scalar, Scaled, byte, UInt2, Float8>), GroupSize),
    ];

    public void Launch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        GpuDevice.CheckAttention(shape, qkv, cache, batch);
        ShapeChecks.Buffer(output, ElementType.F32, batch.NumTokens, shape.QueryWidth, nameof(output));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.TokenSequences, ElementType.I32, batch.NumTokens, 1, nameof(batch.TokenSequences));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (batch.NumTokens == 0)
            return;
        if (cache.Keys.Type == ElementType.F32)
            _float.Launch(shape, qkv, cache, batch, output);
        else if (cache.Keys.Type == ElementType.F16)
            _half.Launch(shape, qkv, cache, batch, output);
        else
            LoadCodes().Launch(shape, qkv, cache, batch, output);
    }

    /// <summary>Begins to compile what a cache of codes needs.</summary>
    public void PrepareCodes() => LoadCodes();

    private Formats<byte> LoadCodes() => _codes ??= new(device, U8Variants);

    /// <summary>The variants of one storage type: aligned, not aligned.</summary>
    private sealed class Formats<T>(GpuDevice device, GpuKernel[] variants)
        where T : unmanaged
    {
        private readonly Launcher<T> _aligned = device.Load<Launcher<T>>(variants[0]);
        private Launcher<T>? _unaligned; // compiled on demand: few models need it

        public void Launch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
        {
            var keys = device.Own(cache.Keys).View<T>();
            var queries = qkv.View<float>();
            var keyScales = cache.Scales is { } scales ? device.Own(scales.Keys).View<float>() : queries; // not read where there are none
            var valueScales = cache.Scales is { } others ? device.Own(others.Values).View<float>() : queries;
            bool isAligned = Chunks.IsAligned(keys, shape.HeadDim) && Chunks.IsAligned(queries, shape.HeadDim);
            var config = new KernelConfig(checked(batch.NumTokens * shape.NumHeads), device.GroupSize(GroupSize));
            var launch = isAligned ? _aligned : _unaligned ??= device.Load<Launcher<T>>(variants[1]);
            launch(
                device.Stream, config, queries, keys, device.Own(cache.Values).View<T>(), keyScales, valueScales, device.Own(batch.Positions).View<int>(),
                device.Own(batch.TokenSequences).View<int>(), device.Own(batch.BlockTables).View<int>(), output.View<float>(),
                new HeadLayout(shape, cache, batch));
        }
    }
}
