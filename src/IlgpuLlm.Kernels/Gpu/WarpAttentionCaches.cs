using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A lane's elements of a row of a head of 64 to 128: chunks <c>part</c> and <c>part + 8</c> of eight halves; what lies beyond the head is zero.</summary>
internal struct HeadRow
{
    public UInt4 Low, High;
}

/// <summary>The same, widened.</summary>
internal struct HeadFloats
{
    public Float8 Low, High;
}

/// <summary>A lane's codes of a row, and the row's scale.</summary>
internal struct HeadCodes
{
    public UInt2 Low, High;
    public float Scale;
}

/// <summary>What of a sequence a lane reads.</summary>
internal struct WarpPlace
{
    /// <summary>Where the sequence's block table begins.</summary>
    public int Blocks;
    public int KvHead;

    /// <summary>The first visible position.</summary>
    public int First;

    /// <summary>The newest position.</summary>
    public int Position;

    /// <summary>Bytes from a row's beginning to this lane's chunk, of halves.</summary>
    public int Offset;

    /// <summary>1 if the head has this lane's second chunk.</summary>
    public int HasHigh;
}

/// <summary>How <see cref="WarpAttentionBody{TCache, TRow}"/> reads and writes a type of cache.</summary>
internal interface IWarpCache<TRow>
    where TRow : unmanaged
{
    /// <summary>Requests this lane's chunks of a row; where it is not seen nothing is read, and what comes is finite.</summary>
    static abstract TRow Load(long cache, long scales, long row, int headDim, WarpPlace place, int isSeen);

    /// <summary>What the cache holds of halves, of which eight neighbouring lanes have a head. All lanes of a warp.</summary>
    static abstract TRow Narrow(HeadRow halves);

    /// <summary>Puts a row to shared memory: of this lane's chunks one to <paramref name="at"/>, one eight behind it.</summary>
    static abstract void Put(ArrayView<UInt4> shared, int at, TRow row);

    /// <summary>Takes it from there.</summary>
    static abstract TRow Take(ArrayView<UInt4> shared, int at);

    /// <summary>Writes a row to the cache.</summary>
    static abstract void Store(ArrayView<ushort> cache, ArrayView<float> scales, HeadLayout layout, int slot, int kvHead, int part, WarpPlace place, TRow row);

    /// <summary>This lane's part of a score.</summary>
    static abstract float Dot(TRow key, HeadFloats query);

    /// <summary>sums + weight * value.</summary>
    static abstract HeadFloats AddValue(HeadFloats sums, TRow value, float weight);
}

/// <summary>What caches share.</summary>
internal static class WarpRows
{
    /// <summary>Lanes of a position.</summary>
    public const int Parts = 8;

    /// <summary>Elements of a chunk.</summary>
    public const int Width = 8;

    /// <summary>Writes halves.</summary>
    public static void Store(ArrayView<ushort> target, long row, int part, WarpPlace place, HeadRow values)
    {
        F16Vector.Store(target, row + part * Width, values.Low);
        if (place.HasHigh != 0)
            F16Vector.Store(target, row + (part + Parts) * Width, values.High);
    }
}

/// <summary>Halves.</summary>
internal readonly struct WarpHalves : IWarpCache<HeadRow>
{
    public static HeadRow Load(long cache, long scales, long row, int headDim, WarpPlace place, int isSeen)
    {
        long address = cache + (row * headDim * 2 + place.Offset);
        return new()
        {
            Low = PtxIntrinsics.LoadOnce16OrZero(address, isSeen),
            High = PtxIntrinsics.LoadOnce16OrZero(address + WarpRows.Parts * WarpRows.Width * 2, isSeen & place.HasHigh),
        };
    }

    public static HeadRow Narrow(HeadRow halves) => halves;

    public static void Put(ArrayView<UInt4> shared, int at, HeadRow row)
    {
        shared[at] = row.Low;
        shared[at + WarpRows.Parts] = row.High;
    }

    public static HeadRow Take(ArrayView<UInt4> shared, int at) => new() { Low = shared[at], High = shared[at + WarpRows.Parts] };

    public static void Store(ArrayView<ushort> cache, ArrayView<float> scales, HeadLayout layout, int slot, int kvHead, int part, WarpPlace place, HeadRow row) =>
        WarpRows.Store(cache, layout.CacheRow(slot, kvHead), part, place, row);

    public static float Dot(HeadRow key, HeadFloats query) =>
        Chunks.Dot(Chunks.WidenHalves(key.High), query.High, Chunks.Dot(Chunks.WidenHalves(key.Low), query.Low, 0f));

    public static HeadFloats AddValue(HeadFloats sums, HeadRow value, float weight) =>
        new() { Low = Chunks.AddScaled(Chunks.WidenHalves(value.Low), weight, sums.Low), High = Chunks.AddScaled(Chunks.WidenHalves(value.High), weight, sums.High) };
}

/// <summary>Codes.</summary>
internal readonly struct WarpCodes : IWarpCache<HeadCodes>
{
    public static HeadCodes Load(long cache, long scales, long row, int headDim, WarpPlace place, int isSeen)
    {
        long address = cache + (row * headDim + place.Offset / 2);
        return new()
        {
            Low = PtxIntrinsics.LoadOnce8OrZero(address, isSeen),
            High = PtxIntrinsics.LoadOnce8OrZero(address + WarpRows.Parts * WarpRows.Width, isSeen & place.HasHigh),
            Scale = PtxIntrinsics.LoadFloatOrZero(scales + row * sizeof(float), isSeen),
        };
    }

    public static HeadCodes Narrow(HeadRow halves)
    {
        Float8 low = Chunks.WidenHalves(halves.Low), high = Chunks.WidenHalves(halves.High); // zeros beyond the head
        uint largest = IntrinsicMath.Max(DeviceCodes.Largest(low), DeviceCodes.Largest(high));
        for (int mask = WarpRows.Parts / 2; mask > 0; mask /= 2)
            largest = IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, mask));
        float inverse = DeviceCodes.Inverse(largest);
        return new() { Low = DeviceCodes.Bytes(low, inverse), High = DeviceCodes.Bytes(high, inverse), Scale = DeviceCodes.Scale(largest) };
    }

    public static void Put(ArrayView<UInt4> shared, int at, HeadCodes row)
    {
        shared[at] = new() { X = row.Low.X, Y = row.Low.Y, Z = row.High.X, W = row.High.Y };
        shared.Cast<float>()[4 * (at + WarpRows.Parts)] = row.Scale;
    }

    public static HeadCodes Take(ArrayView<UInt4> shared, int at)
    {
        UInt4 codes = shared[at];
        return new() { Low = new() { X = codes.X, Y = codes.Y }, High = new() { X = codes.Z, Y = codes.W }, Scale = shared.Cast<float>()[4 * (at + WarpRows.Parts)] };
    }

    public static void Store(ArrayView<ushort> cache, ArrayView<float> scales, HeadLayout layout, int slot, int kvHead, int part, WarpPlace place, HeadCodes row)
    {
        long number = layout.RowNumber(slot / layout.BlockSize, slot % layout.BlockSize, kvHead), at = number * (layout.HeadDim / WarpRows.Width) + part;
        var chunks = cache.Cast<UInt2>().AsAligned(8);
        chunks[at] = row.Low;
        if (place.HasHigh != 0)
            chunks[at + WarpRows.Parts] = row.High;
        if (part == 0)
            scales[number] = row.Scale;
    }

    public static float Dot(HeadCodes key, HeadFloats query) =>
        Chunks.Dot(Chunks.WidenCodes(key.High), query.High, Chunks.Dot(Chunks.WidenCodes(key.Low), query.Low, 0f)) * key.Scale;

    public static HeadFloats AddValue(HeadFloats sums, HeadCodes value, float weight)
    {
        weight *= value.Scale;
        return new() { Low = Chunks.AddScaled(Chunks.WidenCodes(value.Low), weight, sums.Low), High = Chunks.AddScaled(Chunks.WidenCodes(value.High), weight, sums.High) };
    }
}
