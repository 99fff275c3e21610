using System.Numerics;
using ILGPU;
using ILGPU.Runtime;
using Dims32 = IlgpuLlm.Kernels.Gpu.FlashJoin<IlgpuLlm.Kernels.Gpu.FlashDims16, IlgpuLlm.Kernels.Gpu.FlashDims16>;
using Keys32 = IlgpuLlm.Kernels.Gpu.FlashKeysPair<IlgpuLlm.Kernels.Gpu.FlashKeys16>;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="FlashAttentionBody{TShape, THead, TScores}"/>: F16 queries, cache and output, batches of any mixture. Needs neither workspace nor a step of
/// its own; allocates nothing.
/// </summary>
internal sealed class FlashAttentionKernel(GpuDevice device)
{
    private const float Log2E = 1.44269504f;
    private const int StaticSharedBytes = 10 * 1024; // what is not in the dynamic part, rounded up

    private static readonly IHead[] Heads =
    [
        new Head<FlashJoin<Dims32, Dims32>, FlashKeysPair<Keys32>>(),
        new Head<FlashJoin<FlashJoin<Dims32, Dims32>, FlashDims16>, FlashKeysPair<Keys32>>(),
        new Head<FlashJoin<FlashJoin<Dims32, Dims32>, Dims32>, FlashKeysPair<Keys32>>(),
        new Head<FlashJoin<FlashJoin<Dims32, Dims32>, FlashJoin<Dims32, Dims32>>, FlashKeysPair<Keys32>>(),
    ];

    private readonly Launcher?[] _launchers = new Launcher?[Heads.Length]; // compiled when a model first needs one
    private readonly GpuKernel?[] _kernels = new GpuKernel?[Heads.Length];

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, FlashArguments arguments, HeadLayout layout);

    /// <summary>What heads of one size are made of.</summary>
    private interface IHead
    {
        int HeadDim { get; }

        GpuKernel Warps4 { get; }

        GpuKernel Warps2 { get; }
    }

    public static IReadOnlyList<GpuKernel> Variants => [.. Heads.SelectMany(h => new[] { h.Warps4, h.Warps2 })];

    /// <summary>Whether attention of this shape can be made here, from and to these types.</summary>
    public bool Supports(AttentionShape shape, ElementType activations, ElementType cache) =>
        activations == ElementType.F16 && cache == ElementType.F16 && device is CudaGpuDevice { HasTensorCores: true } && shape.Scale > 0 && IndexOf(shape.HeadDim) >= 0;

    /// <summary>Compiles what this shape needs, so that the first launch need not.</summary>
    public void Prepare(AttentionShape shape) => Load(IndexOf(shape.HeadDim));

    /// <summary>Attention of every token over the cache, which holds its own key and value already.</summary>
    /// <param name="shape">A supported shape.</param>
    /// <param name="qkv">F16, [numTokens, qkvWidth]; only the rotated queries are read.</param>
    /// <param name="cache">F16.</param>
    /// <param name="batch">The batch. Rows at position -1 become zeros.</param>
    /// <param name="output">F16, [numTokens, queryWidth].</param>
    public void Launch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        HalfAttention.Check(shape, qkv, cache, batch, output);
        ShapeChecks.Buffer(batch.QueryStartLoc, ElementType.I32, batch.NumSeqs + 1, 1, nameof(batch.QueryStartLoc));
        int index = IndexOf(shape.HeadDim);
        if (index < 0)
            throw new ArgumentException($"heads of {shape.HeadDim} elements are not supported", nameof(shape));
        if (batch.NumTokens == 0)
            return;
        var launch = Load(index);
        var kernel = _kernels[index]!;
        // A slot for each full tile of the tokens and one for each sequence are enough; groups of slots too many end at once.
        int numSlots = batch.NumTokens / kernel.GroupSize + batch.NumSeqs; // as many queries as lanes in a group
        var config = new KernelConfig(
            new Index3D(shape.NumHeads, numSlots, 1), new Index3D(kernel.GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        var arguments = new FlashArguments
        {
            Qkv = qkv.Address,
            Keys = device.Own(cache.Keys).Address,
            Values = device.Own(cache.Values).Address,
            Output = output.View<uint>(),
            QueryStartLoc = device.Own(batch.QueryStartLoc).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            NumSeqs = batch.NumSeqs,
            Scale = shape.Scale * Log2E,
            BlockShift = BitOperations.Log2((uint)cache.BlockSize),
        };
        launch(device.Stream, config, arguments, new HeadLayout(shape, cache, batch));
    }

    private static int IndexOf(int headDim) => Array.FindIndex(Heads, h => h.HeadDim == headDim);

    private Launcher Load(int index)
    {
        if (_launchers[index] is { } launcher)
            return launcher;
        // Two groups of four warps a multiprocessor where there is shared memory for them; 64 queries a group where there is not even for one.
        var kernel = Heads[index].Warps4.DynamicSharedBytes + StaticSharedBytes > (device as CudaGpuDevice)?.MaxSharedBytes ? Heads[index].Warps2 : Heads[index].Warps4;
        _kernels[index] = kernel;
        return _launchers[index] = device.Load<Launcher>(kernel);
    }

    private sealed class Head<THead, TScores> : IHead
        where TScores : unmanaged, IFlashScores<TScores>
        where THead : unmanaged, IFlashHead<THead>
    {
        public int HeadDim => THead.Dims;

        public GpuKernel Warps4 { get; } = Of<FlashWarps4>();

        public GpuKernel Warps2 { get; } = Of<FlashWarps2>();

        private static GpuKernel Of<TShape>()
            where TShape : struct, IFlashShape => GpuKernel.Of(
                $"attention.flash.{THead.Dims}.x{FlashAttentionBody<TShape, THead, TScores>.TileQueries}", typeof(FlashAttentionBody<TShape, THead, TScores>),
                FlashAttentionBody<TShape, THead, TScores>.GroupSize) with
            {
                IsCudaOnly = true,
                DynamicSharedBytes = FlashAttentionBody<TShape, THead, TScores>.SharedBytes,
            };
    }
}
