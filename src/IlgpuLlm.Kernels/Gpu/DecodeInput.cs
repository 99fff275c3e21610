using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The rotation and the write to the cache within <see cref="DecodeAttentionBody{THead, TScaling, TRaw, TChunks, TSums, TMaxHeads}"/>.</summary>
internal static class DecodeInput
{
    /// <summary>
    /// Rotates the group's queries into shared memory, and, in the group that has the newest position, the key, which goes to the cache too, as does the
    /// value. Rounded to halves as <see cref="RotaryKernel"/> rounds keys. Rows and chunks beyond the heads become zeros. Of codes, <see cref="Quantize"/> writes to
    /// the cache.
    /// </summary>
    public static void Prepare(
        DecodeArguments<ushort> arguments, HeadLayout layout, ArrayView<UInt4> queries, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int pitch, int maxHeads,
        bool hasNewest, bool hasCodes)
    {
        int kvHead = Grid.IdxX, sequence = Grid.IdxY;
        int heads = layout.NumHeads / layout.NumKvHeads, numChunks = layout.HeadDim / 8, half = layout.HeadDim / 16;
        var qkv = arguments.Qkv.Cast<UInt4>().AsAligned(16);
        var keys = arguments.Keys.Cast<UInt4>().AsAligned(16);
        var values = arguments.Values.Cast<UInt4>().AsAligned(16);
        var table = arguments.Table.Cast<Float4>().AsAligned(16);
        long row = (long)sequence * (layout.NumHeads + 2 * layout.NumKvHeads) * numChunks;
        long angles = (long)arguments.TableRows[sequence] * (layout.HeadDim / 4);
        int slot = arguments.Slots[sequence];
        uint cacheRow = layout.CacheChunk(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), kvHead);

        for (int i = Group.IdxX; i < maxHeads * pitch; i += Group.DimX)
        {
            if (i / pitch >= heads || i % pitch >= numChunks)
                queries[i] = default;
        }
        int numTasks = (heads + (hasNewest ? 1 : 0)) * half;
        for (int i = Group.IdxX; i < numTasks; i += Group.DimX)
        {
            int head = i / half, chunk = i % half;
            long from = row + (head < heads ? kvHead * heads + head : layout.NumHeads + kvHead) * numChunks + chunk;
            Two<UInt4> rotated = Rotate(
                qkv[from], qkv[from + half], table[angles + 2 * chunk], table[angles + 2 * chunk + 1], table[angles + 2 * (half + chunk)],
                table[angles + 2 * (half + chunk) + 1]);
            if (head < heads)
            {
                queries[head * pitch + chunk] = rotated.A;
                queries[head * pitch + chunk + half] = rotated.B;
            }
            else
            {
                newKey[chunk] = rotated.A;
                newKey[chunk + half] = rotated.B;
                if (!hasCodes)
                {
                    keys[cacheRow + (long)chunk] = rotated.A;
                    keys[cacheRow + (long)(chunk + half)] = rotated.B;
                }
            }
        }
        for (int chunk = Group.IdxX; hasNewest && chunk < pitch; chunk += Group.DimX)
        {
            UInt4 value = default;
            if (chunk < numChunks)
            {
                value = qkv[row + (layout.NumHeads + layout.NumKvHeads + kvHead) * numChunks + chunk];
                if (!hasCodes)
                    values[cacheRow + (long)chunk] = value;
            }
            else
            {
                newKey[chunk] = default;
            }
            newValue[chunk] = value;
        }
    }

    /// <summary>
    /// Makes codes of the newest key (the first warp) and the newest value (the second), in their place in shared memory and in the cache, as
    /// <see cref="RotaryCodesBody{TActivation, TA}"/> makes them. Their scales go to float <paramref name="scaleAt"/> of those places. After a barrier.
    /// </summary>
    public static void Quantize(
        DecodeArguments<ushort> arguments, DecodeScales scales, HeadLayout layout, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int scaleAt)
    {
        int warp = Group.IdxX >> 5, chunk = Group.IdxX & 31, numChunks = layout.HeadDim / 8;
        if (warp > 1)
            return;
        var own = warp == 0 ? newKey : newValue;
        UInt4 halves = default;
        if (chunk < numChunks)
            halves = own[chunk];
        Float8 elements = Chunks.WidenHalves(halves);
        uint largest = DeviceCodes.Largest(elements);
        for (int mask = 16; mask > 0; mask /= 2)
            largest = IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, mask)); // all lanes have read their chunks then
        if (chunk >= numChunks)
            return;
        float inverse = DeviceCodes.Inverse(largest), scale = DeviceCodes.Scale(largest);
        UInt2 codes = DeviceCodes.Bytes(elements, inverse);
        own.Cast<UInt2>()[chunk] = codes;
        int slot = arguments.Slots[Grid.IdxY];
        uint row = layout.RowNumber(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), Grid.IdxX);
        var cached = (warp == 0 ? arguments.Keys : arguments.Values).Cast<UInt2>().AsAligned(8);
        cached[row * (long)numChunks + chunk] = codes;
        if (chunk > 0)
            return;
        own.Cast<float>()[scaleAt] = scale;
        (warp == 0 ? scales.Keys : scales.Values)[(long)row] = scale;
    }

    /// <summary>Eight pairs: (a cos - b sin, b cos + a sin).</summary>
    public static Two<UInt4> Rotate(UInt4 a, UInt4 b, Float4 cosLow, Float4 cosHigh, Float4 sinLow, Float4 sinHigh)
    {
        Float8 x = Chunks.WidenHalves(a), y = Chunks.WidenHalves(b);
        Two<UInt2> low = Rotate(x.Low, y.Low, cosLow, sinLow), high = Rotate(x.High, y.High, cosHigh, sinHigh);
        return new()
        {
            A = new() { X = low.A.X, Y = low.A.Y, Z = high.A.X, W = high.A.Y },
            B = new() { X = low.B.X, Y = low.B.Y, Z = high.B.X, W = high.B.Y },
        };
    }

    private static Two<UInt2> Rotate(Float4 a, Float4 b, Float4 cos, Float4 sin) => new()
    {
        A = new()
        {
            X = PtxIntrinsics.PackHalves(a.X * cos.X - b.X * sin.X, a.Y * cos.Y - b.Y * sin.Y),
            Y = PtxIntrinsics.PackHalves(a.Z * cos.Z - b.Z * sin.Z, a.W * cos.W - b.W * sin.W),
        },
        B = new()
        {
            X = PtxIntrinsics.PackHalves(b.X * cos.X + a.X * sin.X, b.Y * cos.Y + a.Y * sin.Y),
            Y = PtxIntrinsics.PackHalves(b.Z * cos.Z + a.Z * sin.Z, b.W * cos.W + a.W * sin.W),
        },
    };
}
