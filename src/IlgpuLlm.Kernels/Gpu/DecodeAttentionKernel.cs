using System.Numerics;
using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="DecodeAttentionBody{THead, TScaling, TRaw, TChunks, TSums, TMaxHeads, TCluster}"/>: rotation, cache write and attention of batches in
/// which every sequence has one token. F16 activations; a cache of F16, or of codes. On a Hopper the splits of a sequence and head are a cluster where there
/// are few groups; results are the same.
/// </summary>
internal sealed class DecodeAttentionKernel(GpuDevice device) : IDecodeAttention
{
    private const int GroupSize = 128;
    private const int MaxHeadDim = 128;
    private const int ManyGroupsRegisters = 168; // three groups a multiprocessor in place of two
    private const int MaxGroupHeads = 16;
    private const int ClusterSize = DecodeCluster<F16Element, ushort>.Size;

    // [halves or codes, size of heads, number of heads on a key-value head]
    private static readonly GpuKernel[] Kernels = [.. Of<C1>("attention.decode")];

    // The same, of clusters.
    private static readonly GpuKernel[] ClusterKernels = [.. Of<C8>("attention.decode.cluster").Select((kernel, i) => kernel with
    {
        Target = "sm_90a",
        ClusterSize = ClusterSize,
        IsClusterAlongZ = true,
        DynamicSharedBytes = DecodeCluster<F16Element, ushort>.SharedBytes(i % 2 == 0 ? 8 : MaxGroupHeads, i / 2 % 2 == 0 ? 64 : MaxHeadDim),
    })];

    private readonly Launcher?[] _launchers = new Launcher?[Kernels.Length + ClusterKernels.Length]; // compiled when a model first needs one
    private GpuBuffer? _counters, _partials;

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, DecodeArguments<ushort> arguments, HeadLayout layout, DecodeScales scales);

    public static IReadOnlyList<GpuKernel> Variants => [.. Kernels, .. ClusterKernels];

    /// <summary>Whether few groups are clusters, which changes no result. Off for measurements.</summary>
    internal bool UsesClusters { get; set; } = device is CudaGpuDevice { IsHopper: true };

    /// <summary>The fewest positions of a split, a power of two from 64 on, for measurements; null: by the number of groups. Changes the bits of results.</summary>
    internal int? SmallestSplit { get; set; }

    /// <summary>Whether attention of this shape can be made here, from and to these types.</summary>
    public bool Supports(AttentionShape shape, ElementType activations, ElementType cache) =>
        activations == ElementType.F16 && cache is ElementType.F16 or ElementType.U8 && device is CudaGpuDevice { HasTensorCores: true } && shape.Scale > 0 && IsSupported(shape);

    /// <summary>The bytes of partial results of splits, for batches up to this size.</summary>
    public static long WorkspaceBytes(int maxSeqs, AttentionShape shape) => sizeof(float) * PartialsLength(maxSeqs, shape) + sizeof(int) * CountersLength(maxSeqs, shape);

    /// <inheritdoc/>
    public void Reserve(int maxSeqs, AttentionShape shape, ElementType cache)
    {
        Dispose();
        _partials = GpuBuffer.Allocate(device, ElementType.F32, PartialsLength(maxSeqs, shape));
        _counters = GpuBuffer.Allocate(device, ElementType.I32, CountersLength(maxSeqs, shape));
        device.CopyToDevice(new byte[_counters.ByteLength], _counters.Address); // a launch leaves them 0
        if (IsCluster(1, shape))
            Load(shape, cache, isCluster: true);
        if (!IsCluster(maxSeqs, shape))
            Load(shape, cache, isCluster: false);
    }

    /// <inheritdoc/>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        HalfAttention.Check(shape, qkv, cache, batch, output, cache.Scales is null ? ElementType.F16 : ElementType.U8);
        if (!IsSupported(shape))
            throw new ArgumentException($"{shape.NumHeads} heads of {shape.HeadDim} elements on {shape.NumKvHeads} key-value heads are not supported", nameof(shape));
        if (batch.NumTokens != batch.NumSeqs)
            throw new ArgumentException($"{batch.NumTokens} tokens of {batch.NumSeqs} sequences: decoding takes one a sequence", nameof(batch));
        RotaryKernel.Check(shape, rotary, batch);
        if (_counters is null || _partials is null || _counters.Length < CountersLength(batch.NumSeqs, shape) || _partials.Length < PartialsLength(batch.NumSeqs, shape))
            throw new ArgumentException($"no workspace was reserved for {batch.NumSeqs} sequences", nameof(batch));
        if (batch.NumTokens == 0)
            return;
        // No sequence is longer than its row of the block table; so many splits fit a graph whatever lengths it is used with.
        int maxSplits = DecodeSplits.Max(shape.NumKvHeads);
        long capacity = (long)batch.MaxBlocksPerSeq * cache.BlockSize;
        int smallest = SmallestSplit ?? DecodeSplits.Smallest(batch.NumSeqs * shape.NumKvHeads, shape.NumKvHeads);
        int numSplits = (int)Math.Min(maxSplits, (capacity + smallest - 1) / smallest);
        GpuBuffer keys = device.Own(cache.Keys), values = device.Own(cache.Values);
        var arguments = new DecodeArguments<ushort>
        {
            Qkv = qkv.View<ushort>(),
            Table = device.Own(rotary.Values).View<float>(),
            TableRows = device.Own(batch.RotaryRows).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            Slots = device.Own(batch.SlotMapping).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            Keys = keys.View<ushort>(),
            Values = values.View<ushort>(),
            Output = output.View<ushort>(),
            Counters = _counters.View<int>(),
            Partials = _partials.View<float>(),
            KeysAddress = keys.Address,
            ValuesAddress = values.Address,
            PartialsAddress = _partials.Address,
            BlockShift = BitOperations.Log2((uint)cache.BlockSize),
            MaxSplits = maxSplits,
            SmallestSplit = smallest,
        };
        bool isCluster = IsCluster(batch.NumSeqs, shape);
        if (isCluster)
            numSplits = (numSplits + ClusterSize - 1) / ClusterSize * ClusterSize;
        var grid = new Index3D(shape.NumKvHeads, batch.NumSeqs, numSplits);
        var shared = isCluster
            ? SharedMemoryConfig.RequestDynamic<byte>(DecodeCluster<F16Element, ushort>.SharedBytes(shape.NumHeads / shape.NumKvHeads, shape.HeadDim))
            : default;
        var config = new KernelConfig(grid, new Index3D(GroupSize, 1, 1), shared);
        Load(shape, cache.Keys.Type, isCluster)(device.Stream, config, arguments, new HeadLayout(shape, cache, batch), DecodeScales.Of(device, cache, _partials));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _partials?.Dispose();
        _counters?.Dispose();
        _partials = _counters = null;
    }

    private static IEnumerable<GpuKernel> Of<TCluster>(string name)
        where TCluster : struct, IConstant =>
    [
        Of($"{name}.64x8", typeof(DecodeAttentionBody<DecodeDims64, DecodeUnscaled, Four<UInt4>, Four<UInt4>, Two<Four<Float4>>, C8, TCluster>), 0),
        Of($"{name}.64x16", typeof(DecodeAttentionBody<DecodeDims64, DecodeUnscaled, Four<UInt4>, Four<UInt4>, Two<Four<Float4>>, C16, TCluster>), 0),
        Of(
            $"{name}.128x8", typeof(DecodeAttentionBody<DecodeDims128, DecodeUnscaled, Two<Four<UInt4>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>, C8, TCluster>),
            ManyGroupsRegisters),
        Of($"{name}.128x16", typeof(DecodeAttentionBody<DecodeDims128, DecodeUnscaled, Two<Four<UInt4>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>, C16, TCluster>), 0),
        Of($"{name}.u8.64x8", typeof(DecodeAttentionBody<DecodeCodes64, DecodeScaled, Four<UInt2>, Four<UInt4>, Two<Four<Float4>>, C8, TCluster>), 0),
        Of($"{name}.u8.64x16", typeof(DecodeAttentionBody<DecodeCodes64, DecodeScaled, Four<UInt2>, Four<UInt4>, Two<Four<Float4>>, C16, TCluster>), 0),
        Of(
            $"{name}.u8.128x8", typeof(DecodeAttentionBody<DecodeCodes128, DecodeScaled, Two<Four<UInt2>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>, C8, TCluster>),
            ManyGroupsRegisters),
        Of($"{name}.u8.128x16", typeof(DecodeAttentionBody<DecodeCodes128, DecodeScaled, Two<Four<UInt2>>, Two<Four<UInt4>>, Two<Two<Four<Float4>>>, C16, TCluster>), 0),
    ];

    private static GpuKernel Of(string name, Type body, int maxRegisters) =>
        GpuKernel.Of(name, body, GroupSize) with { IsCudaOnly = true, MaxRegisters = maxRegisters };

    private static bool IsSupported(AttentionShape shape) =>
        shape.HeadDim % 16 == 0 && shape.HeadDim <= MaxHeadDim && shape.NumHeads / shape.NumKvHeads <= MaxGroupHeads;

    private static long PartialsLength(int maxSeqs, AttentionShape shape) =>
        (long)maxSeqs * DecodeSplits.Max(shape.NumKvHeads) * shape.NumHeads * (shape.HeadDim + 2);

    private static long CountersLength(int maxSeqs, AttentionShape shape) => (long)maxSeqs * shape.NumKvHeads;

    private bool IsCluster(int numSeqs, AttentionShape shape) => UsesClusters && DecodeSplits.IsFew(numSeqs * shape.NumKvHeads);

    private Launcher Load(AttentionShape shape, ElementType cache, bool isCluster)
    {
        int index = (cache == ElementType.U8 ? 4 : 0) + (shape.HeadDim <= 64 ? 0 : 2) + (shape.NumHeads / shape.NumKvHeads <= 8 ? 0 : 1);
        return isCluster
            ? _launchers[Kernels.Length + index] ??= device.Load<Launcher>(ClusterKernels[index])
            : _launchers[index] ??= device.Load<Launcher>(Kernels[index]);
    }
}
