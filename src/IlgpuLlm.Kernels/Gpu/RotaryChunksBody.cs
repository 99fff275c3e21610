using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="RotaryKernel"/> for halves in chunks of 16 bytes. Groups of X lanes by Y heads: a lane has one chunk of the first half of a head, its partner
/// in the second half and their angles, and goes from head to head of a token. Same formulas and rounding, hence the same bits.
/// </summary>
internal static class RotaryChunksBody
{
    private const int GroupSize = 256;
    private const int MaxRegisters = 64; // four groups a multiprocessor
    private const int ElementsInPair = 16; // of a chunk and its partner
    private const int ManyTokens = 1024; // so many groups fill a device

    public static GpuKernel Kernel { get; } = GpuKernel.Of("rotary.f16.chunks", typeof(RotaryChunksBody), GroupSize) with { MaxRegisters = MaxRegisters };

    /// <summary>Whether heads of this size at these addresses can be read in chunks.</summary>
    public static bool Supports(int headDim, params ReadOnlySpan<nint> addresses)
    {
        foreach (nint address in addresses)
        {
            if (address % 16 != 0)
                return false;
        }
        return headDim % ElementsInPair == 0;
    }

    /// <summary>A group takes all heads of a token, or, where there are few tokens, as many as it has lanes for.</summary>
    public static KernelConfig Config(GpuDevice device, AttentionShape shape, int numTokens)
    {
        int lanes = device.GroupSize(GroupSize), chunks = Math.Min(shape.HeadDim / ElementsInPair, lanes), heads = lanes / chunks;
        int parts = numTokens >= ManyTokens ? 1 : (shape.NumHeads + 2 * shape.NumKvHeads + heads - 1) / heads;
        return new KernelConfig(new Index3D(numTokens, parts, 1), new Index3D(chunks, heads, 1));
    }

    internal static void Body(
        ArrayView<UInt4> qkv, ArrayView<Float4> table, ArrayView<int> tableRows, ArrayView<int> slots, ArrayView<UInt4> keys, ArrayView<UInt4> values,
        HeadLayout layout)
    {
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        int token = Grid.IdxX, half = layout.HeadDim / ElementsInPair, numHeads = layout.NumHeads + 2 * layout.NumKvHeads;
        var rows = qkv.AsAligned(16);
        var angles = table.AsAligned(16);
        long cos = (long)tableRows[token] * (layout.HeadDim / 4), sin = cos + 2 * half;
        int slot = slots[token];
        int endHead = slot < 0 ? layout.NumHeads : numHeads; // a row that only fills up a graph's batch has no place in the cache
        long cacheRow = layout.CacheRow(slot, 0) / 8, headChunks = (long)layout.BlockSize * (layout.HeadDim / 8);
        for (int chunk = Group.IdxX; chunk < half; chunk += Group.DimX)
        {
            Float4 cosLow = angles[cos + 2 * chunk], cosHigh = angles[cos + 2 * chunk + 1], sinLow = angles[sin + 2 * chunk], sinHigh = angles[sin + 2 * chunk + 1];
            for (int head = Grid.IdxY * Group.DimY + Group.IdxY; head < endHead; head += Grid.DimY * Group.DimY)
            {
                long from = ((long)token * numHeads + head) * (2 * half) + chunk;
                UInt4 first = rows[from], second = rows[from + half];
                int key = head - layout.NumHeads, value = key - layout.NumKvHeads;
                if (value >= 0)
                {
                    Store(values, cacheRow + value * headChunks + chunk, half, first, second);
                    continue;
                }
                Two<UInt4> rotated = DecodeInput.Rotate(first, second, cosLow, cosHigh, sinLow, sinHigh);
                if (key >= 0)
                    Store(keys, cacheRow + key * headChunks + chunk, half, rotated.A, rotated.B);
                else
                    Store(qkv, from, half, rotated.A, rotated.B);
            }
        }
    }

    private static void Store(ArrayView<UInt4> target, long at, int half, UInt4 first, UInt4 second)
    {
        var chunks = target.AsAligned(16);
        chunks[at] = first;
        chunks[at + half] = second;
    }
}
