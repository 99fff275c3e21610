using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;
using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How <see cref="FloatDecodeBody{TCache}"/> reads and writes a type of cache. Lane l has chunk l, elements 4l to 4l + 3, of a head.</summary>
internal interface IFloatDecodeCache
{
    /// <summary>Whether what is new goes to the cache as it is.</summary>
    static abstract bool IsExact { get; }

    /// <summary>Whether rows have scales.</summary>
    static abstract bool HasScales { get; }

    /// <summary>What is to be known of a row in the cache: its first chunk, or where rows have scales its number.</summary>
    static abstract uint FindRow(HeadLayout layout, int block, int offset, int kvHead);

    /// <summary>Such a row's first chunk; <see cref="DecodeRows.None"/> stays.</summary>
    static abstract uint FirstChunk(uint row, int numChunks);

    /// <summary>This lane's chunk, without its scale; where <paramref name="isValid"/> is 0 nothing is read, and what comes is finite.</summary>
    static abstract Float4 Load(long source, long chunk, int isValid);

    /// <summary>Requests a row's scale; 0 where there is no row, or there are no scales.</summary>
    static abstract float LoadScale(long scales, uint row);

    /// <summary>
    /// Where the cache is not exact: makes the newest key and value, <paramref name="newest"/>, what the cache holds, there and in the cache, their scales in
    /// the chunk behind them. All lanes, after a barrier.
    /// </summary>
    static abstract void Finish(DecodeArguments<float> arguments, DecodeScales scales, HeadLayout layout, ArrayView<Float4> newest);
}

/// <summary>Floats.</summary>
internal readonly struct FloatDecodeF32 : IFloatDecodeCache
{
    public static bool IsExact => true;

    public static bool HasScales => false;

    public static uint FindRow(HeadLayout layout, int block, int offset, int kvHead) => layout.CacheChunkOfFloats(block, offset, kvHead);

    public static uint FirstChunk(uint row, int numChunks) => row;

    public static Float4 Load(long source, long chunk, int isValid) => PtxIntrinsics.LoadFloatsOnceOrZero(source + chunk * 16, isValid);

    public static float LoadScale(long scales, uint row) => 0f;

    public static void Finish(DecodeArguments<float> arguments, DecodeScales scales, HeadLayout layout, ArrayView<Float4> newest)
    {
    }
}

/// <summary>Halves.</summary>
internal readonly struct FloatDecodeF16 : IFloatDecodeCache
{
    public static bool IsExact => false;

    public static bool HasScales => false;

    public static uint FindRow(HeadLayout layout, int block, int offset, int kvHead) => layout.CacheChunkOfFloats(block, offset, kvHead);

    public static uint FirstChunk(uint row, int numChunks) => row;

    public static Float4 Load(long source, long chunk, int isValid) => Widen(PtxIntrinsics.LoadOnce8OrZero(source + chunk * 8, isValid));

    public static float LoadScale(long scales, uint row) => 0f;

    public static void Finish(DecodeArguments<float> arguments, DecodeScales scales, HeadLayout layout, ArrayView<Float4> newest)
    {
        int warp = Group.IdxX >> 5, chunk = Group.IdxX & 31, numChunks = layout.HeadDim / 4, slot = arguments.Slots[Grid.IdxY];
        if (warp > 1 || chunk >= numChunks)
            return;
        Float4 values = newest[Group.IdxX];
        UInt2 halves = new() { X = PtxIntrinsics.PackHalves(values.X, values.Y), Y = PtxIntrinsics.PackHalves(values.Z, values.W) };
        newest[Group.IdxX] = Widen(halves);
        long at = layout.CacheChunkOfFloats(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), Grid.IdxX) + chunk;
        if (warp == 0)
            arguments.Keys.Cast<UInt2>().AsAligned(8)[at] = halves;
        else
            arguments.Values.Cast<UInt2>().AsAligned(8)[at] = halves;
    }

    private static Float4 Widen(UInt2 halves)
    {
        Float2 a = PtxIntrinsics.WidenHalves(halves.X), b = PtxIntrinsics.WidenHalves(halves.Y);
        return new() { X = a.X, Y = a.Y, Z = b.X, W = b.Y };
    }
}

/// <summary>Codes.</summary>
internal readonly struct FloatDecodeU8 : IFloatDecodeCache
{
    public static bool IsExact => false;

    public static bool HasScales => true;

    public static uint FindRow(HeadLayout layout, int block, int offset, int kvHead) => layout.RowNumber(block, offset, kvHead);

    public static uint FirstChunk(uint row, int numChunks) => row != DecodeRows.None ? row * (uint)numChunks : row;

    public static Float4 Load(long source, long chunk, int isValid) => Chunks.WidenCodes(Bits.FloatAsInt(PtxIntrinsics.LoadFloatOrZero(source + chunk * 4, isValid)));

    public static float LoadScale(long scales, uint row) => PtxIntrinsics.LoadFloatOrZero(scales + (long)row * sizeof(float), row != DecodeRows.None ? 1 : 0);

    public static void Finish(DecodeArguments<float> arguments, DecodeScales scales, HeadLayout layout, ArrayView<Float4> newest)
    {
        int warp = Group.IdxX >> 5, chunk = Group.IdxX & 31, numChunks = layout.HeadDim / 4, slot = arguments.Slots[Grid.IdxY];
        if (warp > 1)
            return;
        Float4 values = newest[Group.IdxX]; // zeros beyond the head
        uint largest = DeviceCodes.Largest(values);
        for (int mask = 16; mask > 0; mask /= 2)
            largest = IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, mask));
        uint codes = DeviceCodes.Bytes(values, DeviceCodes.Inverse(largest));
        float scale = DeviceCodes.Scale(largest);
        newest[Group.IdxX] = Chunks.WidenCodes(codes);
        uint row = layout.RowNumber(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), Grid.IdxX);
        long at = row * (long)numChunks + chunk;
        if (chunk < numChunks && warp == 0)
            arguments.Keys.Cast<uint>()[at] = codes;
        else if (chunk < numChunks)
            arguments.Values.Cast<uint>()[at] = codes;
        if (chunk > 0)
            return;
        newest.Cast<float>()[2 * 4 * 32 + warp] = scale;
        if (warp == 0)
            scales.Keys[(long)row] = scale;
        else
            scales.Values[(long)row] = scale;
    }
}
