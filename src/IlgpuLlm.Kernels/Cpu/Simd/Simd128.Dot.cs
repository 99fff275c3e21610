using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

internal readonly unsafe partial struct Simd128
{
    public static Vector128<float> BroadcastBits(int* source) => Vector128.Create(*source).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitNibbles(byte* source, out Vector128<float> low, out Vector128<float> high)
    {
        Vector128<byte> bytes = Vector128.Load(source), mask = Vector128.Create((byte)15);
        low = (bytes & mask).AsSingle();
        high = ((bytes.AsUInt16() >>> 4).AsByte() & mask).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitBytes(byte* source, out Vector128<float> even, out Vector128<float> odd)
    {
        Vector128<ushort> pairs = Vector128.Load(source).AsUInt16();
        even = (pairs & Vector128.Create((ushort)0xFF)).AsSingle();
        odd = (pairs >>> 8).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyBytes(Vector128<float> codes, Vector128<float> signed)
    {
        if (Ssse3.IsSupported)
            return Ssse3.MultiplyAddAdjacent(codes.AsByte(), signed.AsSByte()).AsSingle();
        Vector128<short> a = codes.AsInt16(), b = signed.AsInt16();
        return ((a & Vector128.Create((short)0xFF)) * ((b << 8) >> 8) + (a >>> 8) * (b >> 8)).AsSingle();
    }

    public static Vector128<float> AddShorts(Vector128<float> a, Vector128<float> b) => (a.AsInt16() + b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyShorts(Vector128<float> a, Vector128<float> b)
    {
        if (Sse2.IsSupported)
            return Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();
        Vector128<int> x = a.AsInt32(), y = b.AsInt32();
        return (((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16)).AsSingle();
    }

    public static Vector128<float> AddInts(Vector128<float> a, Vector128<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShortsToFloats(Vector128<float> shorts)
    {
        Vector128<int> pairs = shorts.AsInt32();
        return Vector128.ConvertToSingle(((pairs << 16) >> 16) + (pairs >> 16));
    }

    public static Vector128<float> IntsToFloats(Vector128<float> ints) => Vector128.ConvertToSingle(ints.AsInt32());

    public static bool HasDots => Dp.IsSupported;

    // NEON's dot products are of signed bytes with signed, or of unsigned with unsigned ones.
    public static int CodeOffset => 128;

    public static Vector128<float> LoadCodes(byte* source) => (Vector128.Load(source) ^ Vector128.Create((byte)CodeOffset)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> AddDots(
        Vector128<float> ints, Vector128<float> codes0, Vector128<float> codes1, Vector128<float> codes2, Vector128<float> codes3, sbyte* x)
    {
        Vector128<sbyte> quads = Vector128.Load(x);
        Vector128<int> sums = Dp.DotProductBySelectedQuadruplet(ints.AsInt32(), codes0.AsSByte(), quads, 0);
        sums = Dp.DotProductBySelectedQuadruplet(sums, codes1.AsSByte(), quads, 1);
        sums = Dp.DotProductBySelectedQuadruplet(sums, codes2.AsSByte(), quads, 2);
        return Dp.DotProductBySelectedQuadruplet(sums, codes3.AsSByte(), quads, 3).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBytes(Vector128<float> integers, sbyte* destination)
    {
        Vector128<int> ints = Vector128.ConvertToInt32Native(integers);
        Vector128<short> shorts = Vector128.Narrow(ints, ints);
        *(int*)destination = Vector128.Narrow(shorts, shorts).AsInt32().ToScalar();
    }
}
