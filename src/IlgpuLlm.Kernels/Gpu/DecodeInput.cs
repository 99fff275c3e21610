using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What a lane needs to know of its part in <see cref="DecodeInput.Prepare"/>.</summary>
internal struct DecodeTask
{
    /// <summary>The query head, or the number of heads for the newest key; more where there is nothing to do.</summary>
    public int Head;

    /// <summary>The chunk of eight elements in the head's first half.</summary>
    public int Chunk;

    /// <summary>The same, in the sequence's row of qkv.</summary>
    public int From;

    /// <summary>Their cosines and sines.</summary>
    public Two<Float4> Cos, Sin;
}

/// <summary>The rotation and the write to the cache within <see cref="DecodeAttentionBody{THead, TScaling, TRaw, TChunks, TSums, TMaxHeads, TCluster}"/>.</summary>
internal static class DecodeInput
{
    private const int OneTaskHeads = 8; // and the key, of 128 elements, are no more tasks than a group has lanes

    /// <summary>Makes rows and chunks of queries, key and value beyond the heads zeros.</summary>
    public static void Clear(HeadLayout layout, ArrayView<UInt4> queries, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int pitch, int maxHeads)
    {
        int heads = layout.HeadsOfGroup, numChunks = layout.HeadDim / 8;
        for (int i = Group.IdxX; i < maxHeads * pitch; i += Group.DimX)
        {
            int row = i / pitch;
            if (row >= heads || i - row * pitch >= numChunks)
                queries[i] = default;
        }
        for (int i = numChunks + Group.IdxX; i < pitch; i += Group.DimX)
        {
            newKey[i] = default;
            newValue[i] = default;
        }
    }

    /// <summary>Requests what task <paramref name="index"/> of the group needs of the table, before the kernel in front has ended.</summary>
    public static DecodeTask Request(DecodeArguments<ushort> arguments, HeadLayout layout, int index, int tableRow)
    {
        int half = layout.HeadDim / 16, head = index / half, chunk = index - head * half, heads = layout.HeadsOfGroup;
        var table = arguments.Table.Cast<Float4>().AsAligned(16);
        long cos = (long)tableRow * (layout.HeadDim / 4) + 2 * chunk, sin = cos + 2 * half;
        return new()
        {
            Head = head,
            Chunk = chunk,
            From = PtxIntrinsics.Here((head < heads ? Grid.IdxX * heads + head : layout.NumHeads + Grid.IdxX) * (layout.HeadDim / 8) + chunk),
            Cos = new() { A = table[cos], B = table[cos + 1] },
            Sin = new() { A = table[sin], B = table[sin + 1] },
        };
    }

    /// <summary>
    /// Rotates the group's queries into shared memory, and, in the group that has the newest position, the key, which goes to the cache too, as does the
    /// value. Rounded to halves as <see cref="RotaryKernel"/> rounds keys. Of codes, <see cref="Quantize"/> writes to the cache.
    /// </summary>
    /// <param name="arguments">The kernel's.</param>
    /// <param name="layout">The kernel's.</param>
    /// <param name="queries">[heads, pitch] chunks in shared memory.</param>
    /// <param name="newKey">A row of them.</param>
    /// <param name="newValue">A row of them.</param>
    /// <param name="pitch">Chunks from a row to the next.</param>
    /// <param name="maxHeads">The most query heads.</param>
    /// <param name="task">What <see cref="Request"/> gave for this lane.</param>
    /// <param name="tableRow">The newest position's row of the table.</param>
    /// <param name="slot">The newest position's slot in the cache.</param>
    /// <param name="hasNewest">Whether the group has the newest position.</param>
    /// <param name="hasCodes">Whether the cache is one of codes.</param>
    public static void Prepare(
        DecodeArguments<ushort> arguments, HeadLayout layout, ArrayView<UInt4> queries, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int pitch,
        int maxHeads, DecodeTask task, int tableRow, int slot, bool hasNewest, bool hasCodes)
    {
        int kvHead = Grid.IdxX, sequence = Grid.IdxY;
        int heads = layout.HeadsOfGroup, numChunks = layout.HeadDim / 8, half = layout.HeadDim / 16;
        var qkv = arguments.Qkv.Cast<UInt4>().AsAligned(16);
        var keys = arguments.Keys.Cast<UInt4>().AsAligned(16);
        var values = arguments.Values.Cast<UInt4>().AsAligned(16);
        long row = (long)sequence * (layout.NumHeads + 2 * layout.NumKvHeads) * numChunks;
        uint cacheRow = layout.CacheChunk(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), kvHead);

        // The last lanes bring the value, which the first ones do not wait for.
        int valueChunk = Group.DimX - 1 - Group.IdxX;
        bool hasValue = hasNewest && valueChunk < numChunks;
        UInt4 value = default;
        if (hasValue)
            value = qkv[row + (layout.NumHeads + layout.NumKvHeads + kvHead) * numChunks + valueChunk];
        int numHeads = heads + (hasNewest ? 1 : 0);
        for (int i = Group.IdxX; i < numHeads * half; i += Group.DimX)
        {
            if (maxHeads > OneTaskHeads && i >= Group.DimX)
                task = Request(arguments, layout, i, tableRow);
            int head = task.Head, chunk = task.Chunk;
            Two<UInt4> rotated = Rotate(qkv[row + task.From], qkv[row + (task.From + half)], task.Cos.A, task.Cos.B, task.Sin.A, task.Sin.B);
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
        if (hasValue)
        {
            newValue[valueChunk] = value;
            if (!hasCodes)
                values[cacheRow + (long)valueChunk] = value;
        }
    }

    /// <summary>
    /// Makes codes of the newest key (the first warp) and the newest value (the second), in their place in shared memory and in the cache, as
    /// <see cref="RotaryCodesBody{TActivation, TA}"/> makes them. Their scales go to float <paramref name="scaleAt"/> of those places. After a barrier.
    /// </summary>
    public static void Quantize(
        DecodeArguments<ushort> arguments, DecodeScales scales, HeadLayout layout, ArrayView<UInt4> newKey, ArrayView<UInt4> newValue, int scaleAt, int slot)
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
