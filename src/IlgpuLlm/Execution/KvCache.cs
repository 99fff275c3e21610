using IlgpuLlm.Kernels;

namespace IlgpuLlm.Execution;

/// <summary>The whole KV cache: one slab, cut into each layer's keys and values; of codes, another one of their scales.</summary>
internal sealed class KvCache : IDisposable
{
    private readonly DeviceBuffer _slab;
    private readonly DeviceBuffer? _scales, _widened;

    public KvCache(Backend backend, ModelShape model, int numLayers, int numBlocks, int blockSize)
    {
        long numRows = (long)numBlocks * blockSize * model.Attention.NumKvHeads, part = numRows * model.Attention.HeadDim;
        _slab = backend.Allocate(model.KvCache, 2 * part * numLayers);
        Layers = new KvCacheLayer[numLayers];
        KvCacheLayer? widened = null;
        if (HasScales(model))
        {
            _scales = backend.Allocate(ElementType.F32, 2 * numRows * numLayers);
            if (backend.WidensCache(model))
            {
                _widened = backend.Allocate(ElementType.F16, 2 * part);
                widened = new KvCacheLayer(_widened.Slice(0, part), _widened.Slice(part, part), numBlocks, blockSize);
            }
        }
        for (int i = 0; i < numLayers; i++)
        {
            DeviceBuffer keys = _slab.Slice(2 * i * part, part), values = _slab.Slice((2 * i + 1) * part, part);
            Layers[i] = _scales is null
                ? new KvCacheLayer(keys, values, numBlocks, blockSize)
                : new KvCacheLayer(keys, values, new(_scales.Slice(2 * i * numRows, numRows), _scales.Slice((2 * i + 1) * numRows, numRows)), numBlocks, blockSize, widened);
        }
    }

    public KvCacheLayer[] Layers { get; }

    /// <summary>The bytes of one block in all layers, scales included.</summary>
    public static long BlockByteLength(ModelShape model, int numLayers, int blockSize) => numLayers * blockSize * TokenByteLength(model);

    /// <summary>The bytes of a token's keys and values in one layer, scales included.</summary>
    public static long TokenByteLength(ModelShape model) =>
        2L * model.Attention.NumKvHeads * (model.Attention.HeadDim * model.KvCache.SizeInBytes() + (HasScales(model) ? sizeof(float) : 0));

    /// <summary>The bytes that a block takes beside that, in no layer's own part: one layer's as halves, where the backend wants it so.</summary>
    public static long BlockWorkspaceByteLength(Backend backend, ModelShape model, int blockSize) =>
        backend.WidensCache(model) ? 2L * blockSize * model.Attention.KvWidth * ElementType.F16.SizeInBytes() : 0;

    public void Dispose()
    {
        _slab.Dispose();
        _scales?.Dispose();
        _widened?.Dispose();
    }

    private static bool HasScales(ModelShape model) => model.KvCache == ElementType.U8;
}
