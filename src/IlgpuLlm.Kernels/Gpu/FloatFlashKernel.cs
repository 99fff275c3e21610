using ILGPU;
using ILGPU.Runtime;
using Dims16 = IlgpuLlm.Kernels.Gpu.FloatFlashDims<IlgpuLlm.Kernels.Gpu.FloatFlashElements2>;
using Dims32 = IlgpuLlm.Kernels.Gpu.FloatFlashDims<IlgpuLlm.Kernels.Gpu.FloatFlashElements4>;
using Dims64 = IlgpuLlm.Kernels.Gpu.FloatFlashJoin<IlgpuLlm.Kernels.Gpu.FloatFlashDims<IlgpuLlm.Kernels.Gpu.FloatFlashElements4>, IlgpuLlm.Kernels.Gpu.FloatFlashDims<IlgpuLlm.Kernels.Gpu.FloatFlashElements4>>;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="FloatFlashBody{TCache, TRaw, THead}"/>: F32 queries and output, a cache of F32, F16 or codes, batches of any mixture, on sm_80 and
/// later. Needs no workspace and allocates nothing.
/// </summary>
internal sealed class FloatFlashKernel(GpuDevice device)
{
    private const float Log2E = 1.44269504f;
    private const int MaxRegisters = 168; // three groups of 128 lanes a multiprocessor

    private static readonly Head[] Heads =
    [
        Head.Of<Dims64>(),
        Head.Of<FloatFlashJoin<Dims64, Dims16>>(),
        Head.Of<FloatFlashJoin<Dims64, Dims32>>(),
        Head.Of<FloatFlashJoin<Dims64, Dims64>>(),
    ];

    private readonly Dictionary<GpuKernel, Launcher> _launchers = []; // compiled when a model first needs one

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, FloatFlashArguments arguments, HeadLayout layout);

    public static IReadOnlyList<GpuKernel> Variants => [.. Heads.SelectMany(h => new[] { h.F32, h.F16, h.U8 })];

    /// <summary>Whether it takes heads of this shape.</summary>
    public static bool Supports(AttentionShape shape) => shape.Scale > 0 && Find(shape.HeadDim) is not null;

    /// <summary>Whether <see cref="Launch"/> takes this: floats, a supported shape, and rows at multiples of 16 bytes. None of it depends on the batch.</summary>
    public bool CanLaunch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, GpuBuffer output) =>
        qkv.Type == ElementType.F32 && output.Type == ElementType.F32 && Supports(shape) && qkv.Address % 16 == 0 && output.Address % 16 == 0
        && device.Own(cache.Keys).Address % 16 == 0 && device.Own(cache.Values).Address % 16 == 0;

    /// <summary>Begins to compile what this shape and type of cache need, so that the first launch need not wait for all of it.</summary>
    public void Prepare(AttentionShape shape, ElementType cache) => Load(KernelOf(shape, cache));

    /// <summary>Attention of every token over the cache, which holds its own key and value already.</summary>
    /// <param name="shape">A supported shape.</param>
    /// <param name="qkv">F32, [numTokens, qkvWidth]; only the rotated queries are read.</param>
    /// <param name="cache">F32, F16, or codes.</param>
    /// <param name="batch">The batch. Rows at position -1 become zeros.</param>
    /// <param name="output">F32, [numTokens, queryWidth].</param>
    public void Launch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        GpuDevice.CheckAttention(shape, qkv, cache, batch);
        ShapeChecks.Buffer(output, ElementType.F32, batch.NumTokens, shape.QueryWidth, nameof(output));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.QueryStartLoc, ElementType.I32, batch.NumSeqs + 1, 1, nameof(batch.QueryStartLoc));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (!CanLaunch(shape, qkv, cache, output))
            throw new ArgumentException($"{shape}, {qkv.Type} to {output.Type}: not supported, or rows are not aligned to 16 bytes", nameof(shape));
        if (batch.NumTokens == 0)
            return;
        var kernel = KernelOf(shape, cache.Keys.Type);
        // A slot for each full tile of the tokens and one for each sequence are enough; groups of slots too many end at once.
        int numSlots = batch.NumTokens / Head.TileQueries + batch.NumSeqs;
        var config = new KernelConfig(
            new Index3D(shape.NumHeads, numSlots, 1), new Index3D(kernel.GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        var arguments = new FloatFlashArguments
        {
            Qkv = qkv.Address,
            Keys = device.Own(cache.Keys).Address,
            Values = device.Own(cache.Values).Address,
            KeyScales = cache.Scales is { } scales ? device.Own(scales.Keys).Address : 0,
            ValueScales = cache.Scales is { } others ? device.Own(others.Values).Address : 0,
            Output = output.View<float>(),
            QueryStartLoc = device.Own(batch.QueryStartLoc).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            NumSeqs = batch.NumSeqs,
            Scale = shape.Scale * Log2E,
        };
        Load(kernel)(device.Stream, config, arguments, new HeadLayout(shape, cache, batch));
    }

    private static Head? Find(int headDim) => Array.Find(Heads, h => h.Dims == headDim);

    private static GpuKernel KernelOf(AttentionShape shape, ElementType cache)
    {
        var head = Find(shape.HeadDim) ?? throw new ArgumentException($"heads of {shape.HeadDim} elements are not supported", nameof(shape));
        return cache switch
        {
            ElementType.F32 => head.F32,
            ElementType.F16 => head.F16,
            _ => head.U8,
        };
    }

    private Launcher Load(GpuKernel kernel)
    {
        if (!_launchers.TryGetValue(kernel, out var launcher))
            _launchers.Add(kernel, launcher = device.Load<Launcher>(kernel));
        return launcher;
    }

    /// <summary>The kernels of one size of heads.</summary>
    private sealed record Head(int Dims, GpuKernel F32, GpuKernel F16, GpuKernel U8)
    {
        public const int TileQueries = FloatFlashBody<FloatFlashF32, int, Dims64>.TileQueries; // of all of them

        public static Head Of<THead>()
            where THead : unmanaged, IFloatFlashHead<THead> =>
            new(THead.Dims, Kernel<FloatFlashF32, int, THead>(), Kernel<FloatFlashF16, UInt4, THead>(), Kernel<FloatFlashU8, FloatFlashCodes, THead>());

        private static GpuKernel Kernel<TCache, TRaw, THead>()
            where TCache : struct, IFloatFlashCache<TRaw>
            where TRaw : unmanaged
            where THead : unmanaged, IFloatFlashHead<THead> => GpuKernel.Of(
                $"attention.flash.{TCache.Name}.{THead.Dims}", typeof(FloatFlashBody<TCache, TRaw, THead>), FloatFlashBody<TCache, TRaw, THead>.GroupSize) with
            {
                IsCudaOnly = true,
                DynamicSharedBytes = FloatFlashBody<TCache, TRaw, THead>.SharedBytes,
                MaxRegisters = MaxRegisters,
            };
    }
}
