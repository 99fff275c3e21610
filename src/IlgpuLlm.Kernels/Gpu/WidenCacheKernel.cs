using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Writes the blocks of a cache of codes that a batch's sequences see as halves to the same blocks of <see cref="KvCacheLayer.Widened"/>, for kernels that
/// read halves: beside the attention of a prompt it takes little, as it reads each key once for all queries. A group takes blocks of one sequence.
/// </summary>
internal sealed class WidenCacheKernel(GpuDevice device)
{
    private const int GroupSize = 256;
    private const int WantedGroups = 1056; // eight for each of an H100's multiprocessors; block tables of graphs are much longer than most sequences

    private static readonly GpuKernel Kernel = GpuKernel.Of("attention.widen", typeof(WidenCacheBody), GroupSize);

    private Launcher? _launch; // compiled when a model first needs it

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, WidenCacheArguments arguments, HeadLayout layout);

    public static IReadOnlyList<GpuKernel> Variants => [Kernel];

    /// <summary>Begins to compile it.</summary>
    public void Prepare() => _launch ??= device.Load<Launcher>(Kernel);

    /// <summary>Queues it.</summary>
    /// <param name="shape">Heads of a multiple of 8 elements.</param>
    /// <param name="cache">Codes, with <see cref="KvCacheLayer.Widened"/>.</param>
    /// <param name="batch">The batch, whose keys and values are in the cache.</param>
    /// <returns>Where the halves are.</returns>
    public KvCacheLayer Launch(AttentionShape shape, KvCacheLayer cache, BatchMetadata batch)
    {
        ShapeChecks.Attention(shape);
        ShapeChecks.Cache(cache, shape);
        if (cache.Widened is not { } widened)
            throw new ArgumentException("a cache of codes needs a layer of halves to be widened to", nameof(cache));
        ShapeChecks.Cache(widened, shape);
        ShapeChecks.Buffer(batch.QueryStartLoc, ElementType.I32, batch.NumSeqs + 1, 1, nameof(batch.QueryStartLoc));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (shape.HeadDim % WidenCacheBody.ChunkElements != 0)
            throw new ArgumentException($"heads of {shape.HeadDim} elements, must be a multiple of {WidenCacheBody.ChunkElements}", nameof(shape));
        if (batch.NumTokens == 0)
            return widened;
        Prepare();
        var arguments = new WidenCacheArguments
        {
            KeyCodes = device.Own(cache.Keys).View<UInt2>(),
            ValueCodes = device.Own(cache.Values).View<UInt2>(),
            KeyScales = device.Own(cache.Scales!.Keys).View<float>(),
            ValueScales = device.Own(cache.Scales.Values).View<float>(),
            Keys = device.Own(widened.Keys).View<UInt4>(),
            Values = device.Own(widened.Values).View<UInt4>(),
            QueryStartLoc = device.Own(batch.QueryStartLoc).View<int>(),
            Positions = device.Own(batch.Positions).View<int>(),
            BlockTables = device.Own(batch.BlockTables).View<int>(),
        };
        int groupsOfSeq = Math.Clamp(WantedGroups / batch.NumSeqs, 1, batch.MaxBlocksPerSeq);
        var config = new KernelConfig(new Index3D(groupsOfSeq, batch.NumSeqs, 1), new Index3D(device.GroupSize(GroupSize), 1, 1));
        _launch!(device.Stream, config, arguments, new HeadLayout(shape, cache, batch));
        return widened;
    }
}

/// <summary>What the kernel reads and writes.</summary>
internal struct WidenCacheArguments
{
    public ArrayView<UInt2> KeyCodes; // bytes, [numBlocks, numKvHeads, blockSize, headDim]
    public ArrayView<UInt2> ValueCodes; // the same
    public ArrayView<float> KeyScales; // [numBlocks, numKvHeads, blockSize]
    public ArrayView<float> ValueScales; // the same
    public ArrayView<UInt4> Keys; // halves, as the codes
    public ArrayView<UInt4> Values; // the same
    public ArrayView<int> QueryStartLoc; // [numSeqs + 1]
    public ArrayView<int> Positions; // [numTokens]
    public ArrayView<int> BlockTables; // [numSeqs, maxBlocksPerSeq]
}

/// <summary>The body of <see cref="WidenCacheKernel"/>. A block that two sequences share is written twice, with the same bits.</summary>
internal static class WidenCacheBody
{
    /// <summary>Elements that a lane takes at a time.</summary>
    public const int ChunkElements = 8;

    internal static void Body(WidenCacheArguments arguments, HeadLayout layout)
    {
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        int sequence = Grid.IdxY;
        int start = arguments.QueryStartLoc[sequence], end = arguments.QueryStartLoc[sequence + 1];
        if (end <= start)
            return;
        int first = arguments.Positions[start], last = arguments.Positions[end - 1];
        if (first < 0)
            return; // rows that only fill up a graph's batch
        int firstVisible = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, first - layout.SlidingWindow + 1) : 0;
        long table = (long)sequence * layout.MaxBlocksPerSeq;
        for (int i = firstVisible / layout.BlockSize + Grid.IdxX; i <= last / layout.BlockSize; i += Grid.DimX)
            WidenBlock(arguments, layout, arguments.BlockTables[table + i]);
    }

    private static void WidenBlock(WidenCacheArguments arguments, HeadLayout layout, int block)
    {
        int chunksPerRow = layout.HeadDim / ChunkElements, numChunks = layout.NumKvHeads * layout.BlockSize * chunksPerRow;
        long rows = (long)block * layout.NumKvHeads * layout.BlockSize, chunks = rows * chunksPerRow;
        var keyCodes = arguments.KeyCodes.AsAligned(8);
        var valueCodes = arguments.ValueCodes.AsAligned(8);
        var keys = arguments.Keys.AsAligned(16);
        var values = arguments.Values.AsAligned(16);
        for (int i = Group.IdxX; i < numChunks; i += Group.DimX)
        {
            UInt2 key = keyCodes[chunks + i], value = valueCodes[chunks + i];
            long row = rows + i / chunksPerRow;
            keys[chunks + i] = Widen(key, arguments.KeyScales[row]);
            values[chunks + i] = Widen(value, arguments.ValueScales[row]);
        }
    }

    private static UInt4 Widen(UInt2 codes, float scale)
    {
        Float8 values = Chunks.Scale(Chunks.WidenCodes(codes), scale);
        return new()
        {
            X = PtxIntrinsics.PackHalves(values.Low.X, values.Low.Y),
            Y = PtxIntrinsics.PackHalves(values.Low.Z, values.Low.W),
            Z = PtxIntrinsics.PackHalves(values.High.X, values.High.Y),
            W = PtxIntrinsics.PackHalves(values.High.Z, values.High.W),
        };
    }
}
