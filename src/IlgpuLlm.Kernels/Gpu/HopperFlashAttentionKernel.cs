using System.Numerics;
using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="HopperFlashAttentionBody{THead}"/> (sm_90a): F16 queries, cache and output, batches of any mixture, as <see cref="FlashAttentionKernel"/>.
/// Allocates nothing but tensor maps, of which there are two a layer and one a buffer of queries.
/// </summary>
internal sealed class HopperFlashAttentionKernel(CudaGpuDevice device) : IDisposable
{
    private const float Log2E = 1.44269504f;
    private const int MinBlockSize = 8; // rows in which the swizzle repeats itself
    private const int MaxRegisters = 168; // three warpgroups' share of 65536; they exchange them later

    private static readonly GpuKernel[] Kernels = [Of<C64>(), Of<C128>()];

    private readonly TensorMaps _maps = new(device);
    private readonly Launcher?[] _launchers = new Launcher?[Kernels.Length]; // compiled when a model first needs one

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, HopperFlashArguments arguments, HeadLayout layout);

    public static IReadOnlyList<GpuKernel> Variants => Kernels;

    /// <summary>Whether attention of this shape can be made here.</summary>
    public bool Supports(AttentionShape shape) => device.IsHopper && shape.Scale > 0 && IndexOf(shape.HeadDim) >= 0;

    /// <summary>Whether this cache can be read.</summary>
    public static bool Supports(KvCacheLayer cache) => int.IsPow2(cache.BlockSize) && cache.BlockSize >= MinBlockSize;

    /// <summary>Compiles what this shape needs, so that the first launch need not.</summary>
    public void Prepare(AttentionShape shape) => Load(IndexOf(shape.HeadDim));

    /// <summary>Attention of every token over the cache, which holds its own key and value already.</summary>
    /// <param name="shape">A supported shape.</param>
    /// <param name="qkv">F16, [at least numTokens, qkvWidth]; only the rotated queries are used.</param>
    /// <param name="cache">F16, supported.</param>
    /// <param name="batch">The batch. Rows at position -1 become zeros.</param>
    /// <param name="output">F16, [numTokens, queryWidth].</param>
    public void Launch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        HalfAttention.Check(shape, qkv, cache, batch, output);
        ShapeChecks.Buffer(batch.QueryStartLoc, ElementType.I32, batch.NumSeqs + 1, 1, nameof(batch.QueryStartLoc));
        int index = IndexOf(shape.HeadDim);
        if (index < 0)
            throw new ArgumentException($"heads of {shape.HeadDim} elements are not supported", nameof(shape));
        if (!Supports(cache))
            throw new ArgumentException($"blocks of {cache.BlockSize} tokens; must be a power of two from {MinBlockSize} on", nameof(cache));
        if (batch.NumTokens == 0)
            return;
        var launch = Load(index);
        var kernel = Kernels[index];
        int numSlots = batch.NumTokens / WgmmaAttention.TileQueries + batch.NumSeqs; // see FlashSlots; groups of slots too many end at once
        var config = new KernelConfig(
            new Index3D(shape.NumHeads, numSlots, 1), new Index3D(kernel.GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        int cacheRows = checked(cache.NumBlocks * shape.NumKvHeads * cache.BlockSize), boxRows = Math.Min(cache.BlockSize, WgmmaAttention.TileKeys);
        var arguments = new HopperFlashArguments
        {
            QueryMap = _maps.Get(qkv.Address, (int)Math.Min(qkv.Length / shape.QkvWidth, int.MaxValue), shape.QkvWidth, WgmmaAttention.TileQueries),
            KeyMap = _maps.Get(device.Own(cache.Keys).Address, cacheRows, shape.HeadDim, boxRows),
            ValueMap = _maps.Get(device.Own(cache.Values).Address, cacheRows, shape.HeadDim, boxRows),
            Output = output.Address,
            QueryStartLoc = device.Own(batch.QueryStartLoc).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            NumSeqs = batch.NumSeqs,
            Scale = shape.Scale * Log2E,
            BlockShift = BitOperations.Log2((uint)cache.BlockSize),
        };
        launch(device.Stream, config, arguments, new HeadLayout(shape, cache, batch));
    }

    public void Dispose() => _maps.Dispose();

    private static GpuKernel Of<THead>()
        where THead : struct, IConstant =>
        GpuKernel.Of(
            $"attention.hopper.{THead.Value}", typeof(HopperFlashAttentionBody<THead>), HopperFlashAttentionBody<THead>.GroupSize) with
        {
            IsCudaOnly = true,
            Target = "sm_90a",
            MaxRegisters = MaxRegisters,
            DynamicSharedBytes = HopperFlashAttentionBody<THead>.SharedBytes,
        };

    private int IndexOf(int headDim) => headDim switch
    {
        64 => 0,
        128 => 1,
        _ => -1,
    };

    private Launcher Load(int index) => _launchers[index] ??= device.Load<Launcher>(Kernels[index]);
}
