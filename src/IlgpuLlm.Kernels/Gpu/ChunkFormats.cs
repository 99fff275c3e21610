using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;
using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Four floats that load with one 16-byte instruction.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
internal struct Float4
{
    public float X, Y, Z, W;
}

/// <summary>Eight halves, or any 16 bytes, that load with one 16-byte instruction.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
internal struct UInt4
{
    public uint X, Y, Z, W;
}

/// <summary>Eight floats: a widened chunk of halves.</summary>
internal struct Float8
{
    public Float4 Low, High;
}

/// <summary>
/// How a row of weights or keys is read in chunks of 16 bytes and multiplied with floats. Formats of one storage type differ in how they load, never
/// in the order of additions: whether a row is aligned does not change a result.
/// </summary>
/// <typeparam name="TStorage">A stored element.</typeparam>
/// <typeparam name="TRaw">A chunk as it is loaded; several are in flight at a time, so it is kept small.</typeparam>
/// <typeparam name="TChunk">A chunk widened to floats.</typeparam>
internal interface IChunkFormat<TStorage, TRaw, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TChunk : unmanaged
{
    /// <summary>Elements in a chunk.</summary>
    static abstract int Width { get; }

    /// <summary>Loads the chunk at <paramref name="element"/>.</summary>
    static abstract TRaw Load(ArrayView<TStorage> source, long element);

    /// <summary>Widens a loaded chunk.</summary>
    static abstract TChunk Widen(TRaw raw);

    /// <summary>sum + chunk . x[element...], added from left to right.</summary>
    static abstract float Dot(TChunk chunk, ArrayView<float> x, long element, float sum);

    /// <summary>Widens one element.</summary>
    static abstract float WidenOne(TStorage value);
}

/// <summary>Floats, 16-byte aligned.</summary>
internal readonly struct F32Vector : IChunkFormat<float, Float4, Float4>
{
    public static int Width => 4;

    public static Float4 Load(ArrayView<float> source, long element) => Chunks.LoadVector(source, element);

    public static Float4 Widen(Float4 raw) => raw;

    public static float Dot(Float4 chunk, ArrayView<float> x, long element, float sum) => Chunks.Dot(chunk, Chunks.LoadVector(x, element), sum);

    public static float WidenOne(float value) => value;
}

/// <summary>Floats at any element.</summary>
internal readonly struct F32Scalar : IChunkFormat<float, Float4, Float4>
{
    public static int Width => 4;

    public static Float4 Load(ArrayView<float> source, long element) => Chunks.LoadScalars(source, element);

    public static Float4 Widen(Float4 raw) => raw;

    public static float Dot(Float4 chunk, ArrayView<float> x, long element, float sum) => Chunks.Dot(chunk, Chunks.LoadScalars(x, element), sum);

    public static float WidenOne(float value) => value;
}

/// <summary>Halves, 16-byte aligned.</summary>
internal readonly struct F16Vector : IChunkFormat<ushort, UInt4, Float8>
{
    public static int Width => 8;

    public static UInt4 Load(ArrayView<ushort> source, long element) => source.Cast<UInt4>().AsAligned(16)[element / 8];

    public static void Store(ArrayView<ushort> target, long element, UInt4 values) => target.Cast<UInt4>().AsAligned(16)[element / 8] = values;

    public static Float8 Widen(UInt4 raw) => Chunks.WidenHalves(raw);

    public static float Dot(Float8 chunk, ArrayView<float> x, long element, float sum) =>
        Chunks.Dot(chunk.High, Chunks.LoadVector(x, element + 4), Chunks.Dot(chunk.Low, Chunks.LoadVector(x, element), sum));

    public static float WidenOne(ushort value) => F16Element.Widen(value);
}

/// <summary>Halves at any element.</summary>
internal readonly struct F16Scalar : IChunkFormat<ushort, UInt4, Float8>
{
    public static int Width => 8;

    public static UInt4 Load(ArrayView<ushort> source, long element) => new()
    {
        X = Chunks.Pack(source[element], source[element + 1]),
        Y = Chunks.Pack(source[element + 2], source[element + 3]),
        Z = Chunks.Pack(source[element + 4], source[element + 5]),
        W = Chunks.Pack(source[element + 6], source[element + 7]),
    };

    public static Float8 Widen(UInt4 raw) => Chunks.WidenHalves(raw);

    public static float Dot(Float8 chunk, ArrayView<float> x, long element, float sum) =>
        Chunks.Dot(chunk.High, Chunks.LoadScalars(x, element + 4), Chunks.Dot(chunk.Low, Chunks.LoadScalars(x, element), sum));

    public static float WidenOne(ushort value) => F16Element.Widen(value);
}

/// <summary>Bytes, 16-byte aligned: codes plus 128, as <see cref="KvCacheLayer"/> has them. Not scaled.</summary>
internal readonly struct U8Vector : IChunkFormat<byte, UInt2, Float8>
{
    public static int Width => 8;

    public static UInt2 Load(ArrayView<byte> source, long element) => source.Cast<UInt2>().AsAligned(8)[element / 8];

    public static Float8 Widen(UInt2 raw) => Chunks.WidenCodes(raw);

    public static float Dot(Float8 chunk, ArrayView<float> x, long element, float sum) => F16Vector.Dot(chunk, x, element, sum);

    public static float WidenOne(byte value) => Chunks.WidenCode(value);
}

/// <summary>Bytes at any element.</summary>
internal readonly struct U8Scalar : IChunkFormat<byte, UInt2, Float8>
{
    public static int Width => 8;

    public static UInt2 Load(ArrayView<byte> source, long element) => new() { X = Pack(source, element), Y = Pack(source, element + 4) };

    public static Float8 Widen(UInt2 raw) => Chunks.WidenCodes(raw);

    public static float Dot(Float8 chunk, ArrayView<float> x, long element, float sum) => F16Scalar.Dot(chunk, x, element, sum);

    public static float WidenOne(byte value) => Chunks.WidenCode(value);

    private static uint Pack(ArrayView<byte> source, long element) =>
        source[element] | ((uint)source[element + 1] << 8) | ((uint)source[element + 2] << 16) | ((uint)source[element + 3] << 24);
}

/// <summary>What the formats share.</summary>
internal static class Chunks
{
    /// <summary>Whether a vector format can read rows of <paramref name="rowLength"/> elements from <paramref name="view"/> on.</summary>
    public static bool IsAligned<T>(ArrayView<T> view, long rowLength)
        where T : unmanaged =>
        view.LoadEffectiveAddressAsPtr() % 16 == 0 && rowLength * Bits.SizeOf<T>() % 16 == 0;

    /// <summary>One 16-byte load.</summary>
    public static Float4 LoadVector(ArrayView<float> source, long element) => source.Cast<Float4>().AsAligned(16)[element / 4];

    /// <summary>Four 4-byte loads.</summary>
    public static Float4 LoadScalars(ArrayView<float> source, long element) =>
        new() { X = source[element], Y = source[element + 1], Z = source[element + 2], W = source[element + 3] };

    /// <summary>sum + a . b, added from left to right.</summary>
    public static float Dot(Float4 a, Float4 b, float sum)
    {
        sum += a.X * b.X;
        sum += a.Y * b.Y;
        sum += a.Z * b.Z;
        return sum + a.W * b.W;
    }

    /// <summary>sums + weight * chunk.</summary>
    public static Float8 AddScaled(Float8 chunk, float weight, Float8 sums) =>
        new() { Low = AddScaled(chunk.Low, weight, sums.Low), High = AddScaled(chunk.High, weight, sums.High) };

    /// <summary>chunk * scale.</summary>
    public static Float8 Scale(Float8 chunk, float scale) => new() { Low = Scale(chunk.Low, scale), High = Scale(chunk.High, scale) };

    private static Float4 AddScaled(Float4 chunk, float weight, Float4 sums) => new()
    {
        X = sums.X + weight * chunk.X,
        Y = sums.Y + weight * chunk.Y,
        Z = sums.Z + weight * chunk.Z,
        W = sums.W + weight * chunk.W,
    };

    private static Float4 Scale(Float4 chunk, float scale) => new() { X = chunk.X * scale, Y = chunk.Y * scale, Z = chunk.Z * scale, W = chunk.W * scale };

    /// <summary>sum + a . b, added from left to right.</summary>
    public static float Dot(Float8 a, Float8 b, float sum) => Dot(a.High, b.High, Dot(a.Low, b.Low, sum));

    /// <summary>The code of a byte.</summary>
    public static float WidenCode(uint value)
    {
        const uint TwoTo23 = 0x4B000000; // this float plus a byte is that float with the byte in its mantissa
        return Bits.IntAsFloat(value | TwoTo23) - (8388608f + KvCodes.Zero);
    }

    /// <summary>Eight codes.</summary>
    public static Float8 WidenCodes(UInt2 bytes) => new() { Low = WidenCodes(bytes.X), High = WidenCodes(bytes.Y) };

    /// <summary>Four codes.</summary>
    public static Float4 WidenCodes(uint bytes) => new()
    {
        X = WidenCode(bytes & 0xFF),
        Y = WidenCode((bytes >> 8) & 0xFF),
        Z = WidenCode((bytes >> 16) & 0xFF),
        W = WidenCode(bytes >> 24),
    };

    /// <summary>Two halves in a word, the first one low.</summary>
    public static uint Pack(ushort first, ushort second) => first | ((uint)second << 16);

    /// <summary>Widens eight halves.</summary>
    public static Float8 WidenHalves(UInt4 raw)
    {
        Float2 a = PtxIntrinsics.WidenHalves(raw.X), b = PtxIntrinsics.WidenHalves(raw.Y), c = PtxIntrinsics.WidenHalves(raw.Z), d = PtxIntrinsics.WidenHalves(raw.W);
        return new() { Low = new() { X = a.X, Y = a.Y, Z = b.X, W = b.Y }, High = new() { X = c.X, Y = c.Y, Z = d.X, W = d.Y } };
    }
}
