using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="RotaryCodesBody{TActivation, TA}"/> for halves in chunks of 16 bytes: eight lanes make a head, each a chunk of its first half and the partner in
/// the second one. Same formulas and rounding, hence the same bits.
/// </summary>
internal static class RotaryCodesChunksBody
{
    private const int GroupSize = 256;
    private const int LanesOfHead = 8; // neighbours in a warp

    public static GpuKernel Kernel { get; } = GpuKernel.Of("rotary.f16xu8.chunks", typeof(RotaryCodesChunksBody), GroupSize);

    /// <summary>A group takes as many heads of a token as it has lanes for.</summary>
    public static KernelConfig Config(GpuDevice device, AttentionShape shape, int numTokens)
    {
        int lanes = device.GroupSize(GroupSize), lanesOfHead = Math.Min(LanesOfHead, lanes), heads = lanes / lanesOfHead;
        int parts = (shape.NumHeads + 2 * shape.NumKvHeads + heads - 1) / heads;
        return new KernelConfig(new Index3D(numTokens, parts, 1), new Index3D(lanesOfHead, heads, 1));
    }

    internal static void Body(
        ArrayView<UInt4> qkv, ArrayView<Float4> table, ArrayView<int> tableRows, ArrayView<int> slots, ArrayView<UInt2> keys, ArrayView<UInt2> values,
        ArrayView<float> keyScales, ArrayView<float> valueScales, HeadLayout layout)
    {
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        int token = Grid.IdxX, half = layout.HeadDim / 16, numHeads = layout.NumHeads + 2 * layout.NumKvHeads;
        int head = Grid.IdxY * Group.DimY + Group.IdxY, kvHead = (head - layout.NumHeads) % layout.NumKvHeads;
        int slot = slots[token];
        // All lanes of a warp go on to the shuffles; what they have no head for counts as nothing. A row that only fills up a graph's batch has no slot.
        bool isQuery = head < layout.NumHeads, isKey = !isQuery && head < layout.NumHeads + layout.NumKvHeads;
        bool isCached = !isQuery && head < numHeads && slot >= 0;
        var rows = qkv.AsAligned(16);
        var angles = table.AsAligned(16);
        long from = ((long)token * numHeads + head) * (2 * half), cos = (long)tableRows[token] * (layout.HeadDim / 4), sin = cos + 2 * half;
        uint largest = 0;
        for (int chunk = Group.IdxX; chunk < half; chunk += Group.DimX)
        {
            if (isQuery)
            {
                Two<UInt4> rotated = Load(rows, from + chunk, half, angles, cos + 2 * chunk, sin + 2 * chunk, isRotated: true);
                rows[from + chunk] = rotated.A;
                rows[from + chunk + half] = rotated.B;
            }
            else if (isCached)
            {
                Two<UInt4> pair = Load(rows, from + chunk, half, angles, cos + 2 * chunk, sin + 2 * chunk, isKey);
                largest = IntrinsicMath.Max(largest, IntrinsicMath.Max(DeviceCodes.Largest(Chunks.WidenHalves(pair.A)), DeviceCodes.Largest(Chunks.WidenHalves(pair.B))));
            }
        }
        for (int mask = Group.DimX / 2; mask > 0; mask /= 2)
            largest = IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, mask));
        if (!isCached)
            return;
        long row = layout.RowNumber(slot / layout.BlockSize, slot % layout.BlockSize, kvHead), to = row * (2 * half);
        if (Group.IdxX == 0)
        {
            if (isKey)
                keyScales[row] = DeviceCodes.Scale(largest);
            else
                valueScales[row] = DeviceCodes.Scale(largest);
        }
        float inverse = DeviceCodes.Inverse(largest);
        for (int chunk = Group.IdxX; chunk < half; chunk += Group.DimX)
        {
            Two<UInt4> pair = Load(rows, from + chunk, half, angles, cos + 2 * chunk, sin + 2 * chunk, isKey);
            UInt2 first = DeviceCodes.Bytes(Chunks.WidenHalves(pair.A), inverse), second = DeviceCodes.Bytes(Chunks.WidenHalves(pair.B), inverse);
            if (isKey)
                Store(keys, to + chunk, half, first, second);
            else
                Store(values, to + chunk, half, first, second);
        }
    }

    /// <summary>A chunk and its partner, rotated or as they are.</summary>
    private static Two<UInt4> Load(ArrayView<UInt4> rows, long at, int half, ArrayView<Float4> angles, long cos, long sin, bool isRotated)
    {
        Two<UInt4> pair = new() { A = rows[at], B = rows[at + half] };
        return isRotated ? DecodeInput.Rotate(pair.A, pair.B, angles[cos], angles[cos + 1], angles[sin], angles[sin + 1]) : pair;
    }

    private static void Store(ArrayView<UInt2> target, long at, int half, UInt2 first, UInt2 second)
    {
        var chunks = target.AsAligned(8);
        chunks[at] = first;
        chunks[at + half] = second;
    }
}
