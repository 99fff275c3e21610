using System.Numerics;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="WarpAttentionBody{TCache, TRow}"/>: decode steps of models in which at most two query heads share a key-value head.</summary>
internal sealed class WarpAttentionKernel(GpuDevice device) : IDecodeAttention
{
    /// <summary>The most chunks of a sequence.</summary>
    public const int MaxChunks = 16;

    /// <summary>Heads of a group: warps that have nothing to do with each other.</summary>
    public const int HeadsInGroup = 4;

    /// <summary>Floats of a partial result beside the sums: the largest score, the total weight, and two to keep the alignment.</summary>
    public const int PartialExtra = 4;

    private const int GroupSize = 32 * HeadsInGroup;
    private const int MinHeadDim = 64, MaxHeadDim = 128;
    private const int MaxHeadsOnKvHead = 2; // more would read the cache more often than DecodeAttentionKernel's groups
    private const int WantedWarps = 2112; // 16 for each of an H100's multiprocessors; no result depends on it

    private static readonly GpuKernel Halves = Of("attention.decode.warp", typeof(WarpAttentionBody<WarpHalves, HeadRow>));
    private static readonly GpuKernel Codes = Of("attention.decode.warp.u8", typeof(WarpAttentionBody<WarpCodes, HeadCodes>));

    private Launcher? _halves, _codes; // compiled when a model first needs one
    private GpuBuffer? _partials, _arrivals;

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, WarpAttentionArguments arguments, DecodeScales scales);

    public static IReadOnlyList<GpuKernel> Variants => [Halves, Codes];

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
        Load(cache);
    }

    /// <inheritdoc/>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        HalfAttention.Check(shape, qkv, cache, batch, output, cache.Scales is null ? ElementType.F16 : ElementType.U8);
        RotaryKernel.Check(shape, rotary, batch);
        if (!Supports(shape))
            throw new ArgumentException($"{shape.NumHeads} heads of {shape.HeadDim} elements on {shape.NumKvHeads} key-value heads are not supported", nameof(shape));
        if (batch.NumSeqs == 0)
            return;
        int splits = Math.Clamp(WantedWarps / (batch.NumSeqs * shape.NumHeads), 1, MaxChunks);
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
        var groups = new Index3D((shape.NumHeads + HeadsInGroup - 1) / HeadsInGroup, batch.NumSeqs, splits);
        Load(cache.Keys.Type)(device.Stream, new KernelConfig(groups, new Index3D(GroupSize, 1, 1)), arguments, DecodeScales.Of(device, cache, _partials));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _partials?.Dispose();
        _arrivals?.Dispose();
        _partials = _arrivals = null;
    }

    private static GpuKernel Of(string name, Type body) => GpuKernel.Of(name, body, GroupSize) with
    {
        IsCudaOnly = true,
        MaxRegisters = 168, // three groups a multiprocessor
    };

    private Launcher Load(ElementType cache) =>
        cache == ElementType.U8 ? _codes ??= device.Load<Launcher>(Codes) : _halves ??= device.Load<Launcher>(Halves);

    private static long PartialsOf(int numSeqs, AttentionShape shape) =>
        (long)numSeqs * shape.NumHeads * MaxChunks * (shape.HeadDim + PartialExtra);

    /// <summary>Heads are shared only as long as there are few sequences.</summary>
    private static long NumPartials(int maxSeqs, AttentionShape shape) => PartialsOf(Math.Min(maxSeqs, WantedWarps / 2 / shape.NumHeads), shape);
}
