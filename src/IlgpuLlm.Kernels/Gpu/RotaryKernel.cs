using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Rotary embedding of queries (in place) and keys (into the cache), and values into the cache. A group makes one head of one token: query heads
/// first, then key heads, then value heads, as they lie in a row of qkv.
/// </summary>
internal sealed class RotaryKernel(GpuDevice device)
{
    private const int GroupSize = 32;

    private static readonly GpuKernel F32 = GpuKernel.Of("rotary.f32", typeof(Kernel<F32Element, float, F32Element, float>), GroupSize);
    private static readonly GpuKernel Mixed = GpuKernel.Of("rotary.f32xf16", typeof(Kernel<F32Element, float, F16Element, ushort>), GroupSize);
    private static readonly GpuKernel F16 = GpuKernel.Of("rotary.f16", typeof(Kernel<F16Element, ushort, F16Element, ushort>), GroupSize);

    private static readonly GpuKernel F32Codes = GpuKernel.Of("rotary.f32xu8", typeof(RotaryCodesBody<F32Element, float>), GroupSize);
    private static readonly GpuKernel F16Codes = GpuKernel.Of("rotary.f16xu8", typeof(RotaryCodesBody<F16Element, ushort>), GroupSize);

    private readonly Launcher<float, float> _float = device.Load<Launcher<float, float>>(F32);
    private readonly Launcher<float, ushort> _mixed = device.Load<Launcher<float, ushort>>(Mixed);
    private readonly Launcher<ushort, ushort> _half = device.Load<Launcher<ushort, ushort>>(F16);
    private readonly ChunkLauncher _chunks = device.Load<ChunkLauncher>(RotaryChunksBody.Kernel);

    private delegate void Launcher<TA, T>(
        AcceleratorStream stream, KernelConfig config, ArrayView<TA> qkv, ArrayView<float> table, ArrayView<int> tableRows, ArrayView<int> slots,
        ArrayView<T> keys, ArrayView<T> values, HeadLayout layout)
        where TA : unmanaged
        where T : unmanaged;

    private CodesLauncher<float, float, byte>? _floatCodes; // compiled on demand, as are the next two
    private CodesLauncher<ushort, float, byte>? _halfCodes;
    private CodesLauncher<UInt4, Float4, UInt2>? _chunkCodes;

    private delegate void CodesLauncher<TA, TTable, T>(
        AcceleratorStream stream, KernelConfig config, ArrayView<TA> qkv, ArrayView<TTable> table, ArrayView<int> tableRows, ArrayView<int> slots,
        ArrayView<T> keys, ArrayView<T> values, ArrayView<float> keyScales, ArrayView<float> valueScales, HeadLayout layout)
        where TA : unmanaged
        where TTable : unmanaged
        where T : unmanaged;

    private delegate void ChunkLauncher(
        AcceleratorStream stream, KernelConfig config, ArrayView<UInt4> qkv, ArrayView<Float4> table, ArrayView<int> tableRows, ArrayView<int> slots,
        ArrayView<UInt4> keys, ArrayView<UInt4> values, HeadLayout layout);

    public static IReadOnlyList<GpuKernel> Variants => [F32, Mixed, F16, RotaryChunksBody.Kernel, F32Codes, F16Codes, RotaryCodesChunksBody.Kernel];

    /// <summary>Whether halves go through <see cref="RotaryChunksBody"/> where they can; otherwise never, for comparisons.</summary>
    internal bool UsesChunks { get; set; } = true;

    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch)
    {
        GpuDevice.CheckAttention(shape, qkv, cache, batch);
        Check(shape, rotary, batch);
        if (batch.NumTokens == 0)
            return;
        var table = device.Own(rotary.Values).View<float>();
        var rows = device.Own(batch.RotaryRows).View<int>();
        var slots = device.Own(batch.SlotMapping).View<int>();
        GpuBuffer keys = device.Own(cache.Keys), values = device.Own(cache.Values);
        var config = new KernelConfig(checked(batch.NumTokens * (shape.NumHeads + 2 * shape.NumKvHeads)), device.GroupSize(GroupSize));
        var layout = new HeadLayout(shape, cache, batch);
        bool isChunked = UsesChunks && RotaryChunksBody.Supports(shape.HeadDim, qkv.Address, device.Own(rotary.Values).Address, keys.Address, values.Address);
        if (cache.Scales is { } scales)
        {
            PrepareCodes(qkv.Type, isChunked);
            var (keyScales, valueScales) = (device.Own(scales.Keys).View<float>(), device.Own(scales.Values).View<float>());
            if (qkv.Type == ElementType.F32)
                _floatCodes!(device.Stream, config, qkv.View<float>(), table, rows, slots, keys.View<byte>(), values.View<byte>(), keyScales, valueScales, layout);
            else if (!isChunked)
                _halfCodes!(device.Stream, config, qkv.View<ushort>(), table, rows, slots, keys.View<byte>(), values.View<byte>(), keyScales, valueScales, layout);
            else
                _chunkCodes!(
                    device.Stream, RotaryCodesChunksBody.Config(device, shape, batch.NumTokens), qkv.View<UInt4>(), table.Cast<Float4>(), rows, slots, keys.View<UInt2>(),
                    values.View<UInt2>(), keyScales, valueScales, layout);
        }
        else if (cache.Keys.Type == ElementType.F32)
            _float(device.Stream, config, qkv.View<float>(), table, rows, slots, keys.View<float>(), values.View<float>(), layout);
        else if (qkv.Type == ElementType.F32)
            _mixed(device.Stream, config, qkv.View<float>(), table, rows, slots, keys.View<ushort>(), values.View<ushort>(), layout);
        else if (isChunked)
            _chunks(
                device.Stream, RotaryChunksBody.Config(device, shape, batch.NumTokens), qkv.View<UInt4>(), table.Cast<Float4>(), rows, slots, keys.View<UInt4>(),
                values.View<UInt4>(), layout);
        else
            _half(device.Stream, config, qkv.View<ushort>(), table, rows, slots, keys.View<ushort>(), values.View<ushort>(), layout);
    }

    /// <summary>Begins to compile what a cache of codes needs.</summary>
    public void PrepareCodes(ElementType activations, bool isChunked = true)
    {
        if (activations == ElementType.F32)
            _floatCodes ??= device.Load<CodesLauncher<float, float, byte>>(F32Codes);
        else if (isChunked)
            _chunkCodes ??= device.Load<CodesLauncher<UInt4, Float4, UInt2>>(RotaryCodesChunksBody.Kernel);
        else
            _halfCodes ??= device.Load<CodesLauncher<ushort, float, byte>>(F16Codes);
    }

    /// <summary>What an operation that rotates checks of the table and of the batch.</summary>
    public static void Check(AttentionShape shape, RotaryTable rotary, BatchMetadata batch)
    {
        if (rotary.HeadDim != shape.HeadDim)
            throw new ArgumentException($"a rotary table for heads of {rotary.HeadDim} elements, not {shape.HeadDim}", nameof(rotary));
        ShapeChecks.Buffer(batch.RotaryRows, ElementType.I32, batch.NumTokens, 1, nameof(batch.RotaryRows));
        ShapeChecks.Buffer(batch.SlotMapping, ElementType.I32, batch.NumTokens, 1, nameof(batch.SlotMapping));
    }

    internal static class Kernel<TActivation, TA, TElement, T>
        where TActivation : struct, IElement<TA>
        where TA : unmanaged
        where TElement : struct, IElement<T>
        where T : unmanaged
    {
        internal static void Body(
            ArrayView<TA> qkv, ArrayView<float> table, ArrayView<int> tableRows, ArrayView<int> slots, ArrayView<T> keys, ArrayView<T> values,
            HeadLayout layout)
        {
            int headsInRow = layout.NumHeads + 2 * layout.NumKvHeads;
            int token = Grid.IdxX / headsInRow;
            int head = Grid.IdxX % headsInRow;
            int half = layout.HeadDim / 2;
            long from = ((long)token * headsInRow + head) * layout.HeadDim;
            long angles = (long)tableRows[token] * layout.HeadDim;
            int kvHead = (head - layout.NumHeads) % layout.NumKvHeads; // of keys and values alike; not used for queries
            int slot = slots[token];
            if (slot < 0 && head >= layout.NumHeads)
                return; // a row that only fills up a graph's batch
            long to = layout.CacheRow(slot, kvHead);

            for (int i = Group.IdxX; i < half; i += Group.DimX)
            {
                float a = TActivation.Widen(qkv[from + i]);
                float b = TActivation.Widen(qkv[from + half + i]);
                if (head >= layout.NumHeads + layout.NumKvHeads)
                {
                    values[to + i] = TElement.Narrow(a);
                    values[to + half + i] = TElement.Narrow(b);
                    continue;
                }
                float cos = table[angles + i];
                float sin = table[angles + half + i];
                float first = a * cos - b * sin;
                float second = b * cos + a * sin;
                if (head < layout.NumHeads)
                {
                    qkv[from + i] = TActivation.Narrow(first);
                    qkv[from + half + i] = TActivation.Narrow(second);
                }
                else
                {
                    keys[to + i] = TElement.Narrow(first);
                    keys[to + half + i] = TElement.Narrow(second);
                }
            }
        }
    }
}
