using System.Numerics;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="FloatDecodeBody{TCache}"/>: rotation, cache write and attention of batches in which every sequence has one token. F32 activations; a cache
/// of F32, F16 or codes.
/// </summary>
internal sealed class FloatDecodeKernel(GpuDevice device) : IDisposable
{
    /// <summary>Lanes of a group.</summary>
    public const int GroupSize = 128;

    /// <summary>Query heads of a group.</summary>
    public const int MaxHeads = 8;

    /// <summary>The fewest positions of a split: two rounds of a group's four warps.</summary>
    public const int SmallestSplit = 64;

    private const int MaxHeadDim = 128;

    private static readonly GpuKernel F32 = Of<FloatDecodeF32>("attention.decode.f32");
    private static readonly GpuKernel F16 = Of<FloatDecodeF16>("attention.decode.f32xf16");
    private static readonly GpuKernel U8 = Of<FloatDecodeU8>("attention.decode.f32xu8");

    private readonly Launcher?[] _launchers = new Launcher?[3]; // compiled when a model first needs one
    private GpuBuffer? _counters, _partials;

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, DecodeArguments<float> arguments, HeadLayout layout, DecodeScales scales);

    public static IReadOnlyList<GpuKernel> Variants => [F32, F16, U8];

    /// <summary>Whether it takes heads of this shape.</summary>
    public static bool Supports(AttentionShape shape) =>
        shape.HeadDim % 8 == 0 && shape.HeadDim <= MaxHeadDim && shape.NumHeads / shape.NumKvHeads <= MaxHeads && shape.Scale > 0;

    /// <summary>The bytes of partial results of splits, for batches up to this size.</summary>
    public static long WorkspaceBytes(int maxSeqs, AttentionShape shape) => sizeof(float) * PartialsLength(maxSeqs, shape) + sizeof(int) * CountersLength(maxSeqs, shape);

    /// <summary>Allocates that, in place of an earlier one, and compiles the kernel for this type of cache.</summary>
    public void Reserve(int maxSeqs, AttentionShape shape, ElementType cache)
    {
        Dispose();
        _partials = GpuBuffer.Allocate(device, ElementType.F32, PartialsLength(maxSeqs, shape));
        _counters = GpuBuffer.Allocate(device, ElementType.I32, CountersLength(maxSeqs, shape));
        device.CopyToDevice(new byte[_counters.ByteLength], _counters.Address); // a launch leaves them 0
        Load(cache);
    }

    /// <summary>Whether <see cref="Launch"/> takes this: one token a sequence, floats, aligned, and a workspace that was reserved.</summary>
    public bool CanLaunch(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output) =>
        batch.NumTokens == batch.NumSeqs && qkv.Type == ElementType.F32 && output.Type == ElementType.F32
        && Supports(shape) && int.IsPow2(cache.BlockSize) && qkv.Address % 16 == 0 && device.Own(cache.Keys).Address % 16 == 0
        && device.Own(cache.Values).Address % 16 == 0 && output.Address % 16 == 0 && _counters is not null && _partials is not null
        && _counters.Length >= CountersLength(batch.NumSeqs, shape) && _partials.Length >= PartialsLength(batch.NumSeqs, shape);

    /// <summary>Attention of one new token a sequence, whose key and value it writes to the cache first.</summary>
    /// <param name="shape">A supported shape.</param>
    /// <param name="qkv">F32, [numTokens, qkvWidth], not rotated.</param>
    /// <param name="rotary">The table that <see cref="BatchMetadata.RotaryRows"/> points into.</param>
    /// <param name="cache">F32, F16, or codes.</param>
    /// <param name="batch">As many tokens as sequences. Rows at position -1 become zeros and write nothing to the cache.</param>
    /// <param name="output">F32, [numTokens, queryWidth].</param>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        GpuDevice.CheckAttention(shape, qkv, cache, batch);
        RotaryKernel.Check(shape, rotary, batch);
        ShapeChecks.Buffer(output, ElementType.F32, batch.NumTokens, shape.QueryWidth, nameof(output));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (!CanLaunch(shape, qkv, cache, batch, output))
            throw new ArgumentException($"{batch.NumTokens} tokens of {batch.NumSeqs} sequences, {shape}: not supported, or no workspace was reserved", nameof(batch));
        if (batch.NumTokens == 0)
            return;
        // No sequence is longer than its row of the block table; so many splits fit a graph whatever lengths it is used with.
        int maxSplits = DecodeSplits.Max(shape.NumKvHeads);
        long capacity = (long)batch.MaxBlocksPerSeq * cache.BlockSize;
        int numSplits = (int)Math.Min(maxSplits, (capacity + SmallestSplit - 1) / SmallestSplit);
        GpuBuffer keys = device.Own(cache.Keys), values = device.Own(cache.Values);
        var arguments = new DecodeArguments<float>
        {
            Qkv = qkv.View<float>(),
            Table = device.Own(rotary.Values).View<float>(),
            TableRows = device.Own(batch.RotaryRows).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            Slots = device.Own(batch.SlotMapping).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
            Keys = keys.View<float>(),
            Values = values.View<float>(),
            Output = output.View<float>(),
            Counters = _counters!.View<int>(),
            Partials = _partials!.View<float>(),
            KeysAddress = keys.Address,
            ValuesAddress = values.Address,
            PartialsAddress = _partials.Address,
            BlockShift = BitOperations.Log2((uint)cache.BlockSize),
            MaxSplits = maxSplits,
            SmallestSplit = SmallestSplit,
        };
        var config = new KernelConfig(new Index3D(shape.NumKvHeads, batch.NumSeqs, numSplits), new Index3D(GroupSize, 1, 1));
        Load(cache.Keys.Type)(device.Stream, config, arguments, new HeadLayout(shape, cache, batch), DecodeScales.Of(device, cache, _partials));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _partials?.Dispose();
        _counters?.Dispose();
        _partials = _counters = null;
    }

    private static GpuKernel Of<TCache>(string name)
        where TCache : struct, IFloatDecodeCache =>
        GpuKernel.Of(name, typeof(FloatDecodeBody<TCache>), GroupSize) with
        {
            IsCudaOnly = true,
            MaxRegisters = 128, // four groups a multiprocessor
        };

    private Launcher Load(ElementType cache)
    {
        var (index, kernel) = cache switch
        {
            ElementType.F32 => (0, F32),
            ElementType.F16 => (1, F16),
            _ => (2, U8),
        };
        return _launchers[index] ??= device.Load<Launcher>(kernel);
    }

    private static long PartialsLength(int maxSeqs, AttentionShape shape) =>
        (long)maxSeqs * DecodeSplits.Max(shape.NumKvHeads) * shape.NumHeads * (shape.HeadDim + 2);

    private static long CountersLength(int maxSeqs, AttentionShape shape) => (long)maxSeqs * shape.NumKvHeads;
}
