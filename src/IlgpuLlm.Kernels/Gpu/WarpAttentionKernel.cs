using System.Numerics;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="WarpAttentionBody"/>: decode steps of models in which at most two query heads share a key-value head.</summary>
internal sealed class WarpAttentionKernel(GpuDevice device) : IDecodeAttention
{
    private const int MinHeadDim = 64, MaxHeadDim = 128;
    private const int MaxHeadsOnKvHead = 2; // more would read the cache more often than DecodeAttentionKernel's groups
    private const int WantedWarps = 2112; // 16 for each of an H100's multiprocessors; no result depends on it

    private static readonly GpuKernel Kernel = GpuKernel.Of("attention.decode.warp", typeof(WarpAttentionBody), WarpAttentionBody.GroupSize) with
    {
        IsCudaOnly = true,
        MaxRegisters = 168, // three groups a multiprocessor
    };

    private Launcher? _launch; // compiled when a model first needs it
    private GpuBuffer? _partials, _arrivals;

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, WarpAttentionArguments arguments);

    public static IReadOnlyList<GpuKernel> Variants => [Kernel];

    /// <summary>Whether it takes heads of this shape.</summary>
    public static bool Supports(AttentionShape shape) =>
        shape.HeadDim % 16 == 0 && shape.HeadDim is >= MinHeadDim and <= MaxHeadDim && shape.NumHeads / shape.NumKvHeads <= MaxHeadsOnKvHead && shape.Scale > 0;

    /// <summary>The bytes of partial results, for batches of up to so many sequences.</summary>
    public static long WorkspaceBytes(int maxSeqs, AttentionShape shape) => sizeof(float) * NumPartials(maxSeqs, shape) + sizeof(int) * WantedWarps;

    /// <inheritdoc/>
    public void Reserve(int maxSeqs, AttentionShape shape, ElementType cache)
    {
        Dispose();
        _partials = GpuBuffer.Allocate(device, ElementType.F32, NumPartials(maxSeqs, shape));
        _arrivals = GpuBuffer.Allocate(device, ElementType.I32, WantedWarps);
        device.CopyToDevice(new byte[_arrivals.ByteLength], _arrivals.Address); // a launch leaves them 0
        _launch ??= device.Load<Launcher>(Kernel);
    }

    /// <inheritdoc/>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        HalfAttention.Check(shape, qkv, cache, batch, output);
        RotaryKernel.Check(shape, rotary, batch);
        if (!Supports(shape))
            throw new ArgumentException($"{shape.NumHeads} heads of {shape.HeadDim} elements on {shape.NumKvHeads} key-value heads are not supported", nameof(shape));
        if (batch.NumSeqs == 0)
            return;
        int splits = Math.Clamp(WantedWarps / (batch.NumSeqs * shape.NumHeads), 1, WarpAttentionBody.MaxChunks);
        if (_partials is null || _arrivals is null || (splits > 1 && _partials.Length < PartialsOf(batch.NumSeqs, shape)))
            throw new ArgumentException($"no workspace was reserved for {batch.NumSeqs} sequences", nameof(batch));
        GpuBuffer keys = device.Own(cache.Keys), values = device.Own(cache.Values);
        var arguments = new WarpAttentionArguments
        {
            Qkv = qkv.View<ushort>(),
            Output = output.View<ushort>(),
            Keys = keys.View<ushort>(),
            Values = values.View<ushort>(),
            KeysAddress = keys.Address,
            ValuesAddress = values.Address,
            Table = device.Own(rotary.Values).View<float>(),
            TableRows = device.Own(batch.RotaryRows).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            Slots = device.Own(batch.SlotMapping).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            Partials = _partials.View<float>(),
            PartialsAddress = _partials.Address,
            Arrivals = _arrivals.View<int>(),
            BlockShift = BitOperations.Log2((uint)cache.BlockSize),
            Layout = new HeadLayout(shape, cache, batch),
        };
        var groups = new Index3D((shape.NumHeads + WarpAttentionBody.HeadsInGroup - 1) / WarpAttentionBody.HeadsInGroup, batch.NumSeqs, splits);
        _launch!(device.Stream, new KernelConfig(groups, new Index3D(WarpAttentionBody.GroupSize, 1, 1)), arguments);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _partials?.Dispose();
        _arrivals?.Dispose();
        _partials = _arrivals = null;
    }

    private static long PartialsOf(int numSeqs, AttentionShape shape) =>
        (long)numSeqs * shape.NumHeads * WarpAttentionBody.MaxChunks * (shape.HeadDim + WarpAttentionBody.PartialExtra);

    /// <summary>Heads are shared only as long as there are few sequences.</summary>
    private static long NumPartials(int maxSeqs, AttentionShape shape) => PartialsOf(Math.Min(maxSeqs, WantedWarps / 2 / shape.NumHeads), shape);
}
