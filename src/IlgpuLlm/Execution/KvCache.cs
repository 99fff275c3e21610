using IlgpuLlm.Kernels;

namespace IlgpuLlm.Execution;

/// <summary>The whole KV cache: one slab, cut into each layer's keys and values.</summary>
internal sealed class KvCache : IDisposable
{
    private readonly DeviceBuffer _slab;

    public KvCache(Backend backend, AttentionShape shape, ElementType type, int numLayers, int numBlocks, int blockSize)
    {
        long part = (long)numBlocks * blockSize * shape.KvWidth;
        _slab = backend.Allocate(type, 2 * part * numLayers);
        Layers = new KvCacheLayer[numLayers];
        for (int i = 0; i < numLayers; i++)
            Layers[i] = new KvCacheLayer(_slab.Slice(2 * i * part, part), _slab.Slice((2 * i + 1) * part, part), numBlocks, blockSize);
    }

    public KvCacheLayer[] Layers { get; }

    /// <summary>The bytes of one block in all layers.</summary>
    public static long BlockByteLength(AttentionShape shape, ElementType type, int numLayers, int blockSize) =>
        2L * numLayers * blockSize * shape.KvWidth * type.SizeInBytes();

    public void Dispose() => _slab.Dispose();
}
