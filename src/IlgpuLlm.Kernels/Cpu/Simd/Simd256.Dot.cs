using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

internal readonly unsafe partial struct Simd256
{
    public static Vector256<float> BroadcastBits(int* source) => Vector256.Create(*source).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitNibbles(byte* source, out Vector256<float> low, out Vector256<float> high)
    {
        Vector256<byte> bytes = Vector256.Load(source), mask = Vector256.Create((byte)15);
        low = (bytes & mask).AsSingle();
        high = ((bytes.AsUInt16() >>> 4).AsByte() & mask).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitBytes(byte* source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<ushort> pairs = Vector256.Load(source).AsUInt16();
        even = (pairs & Vector256.Create((ushort)0xFF)).AsSingle();
        odd = (pairs >>> 8).AsSingle();
    }

    public static Vector256<float> MultiplyBytes(Vector256<float> codes, Vector256<float> signed) => Avx2.MultiplyAddAdjacent(codes.AsByte(), signed.AsSByte()).AsSingle();

    public static Vector256<float> AddShorts(Vector256<float> a, Vector256<float> b) => (a.AsInt16() + b.AsInt16()).AsSingle();

    public static Vector256<float> MultiplyShorts(Vector256<float> a, Vector256<float> b) => Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();

    public static Vector256<float> AddInts(Vector256<float> a, Vector256<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    public static Vector256<float> ShortsToFloats(Vector256<float> shorts) => Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(shorts.AsInt16(), Vector256.Create((short)1)));

    public static Vector256<float> IntsToFloats(Vector256<float> ints) => Vector256.ConvertToSingle(ints.AsInt32());

    public static bool HasDots => AvxVnni.IsSupported;

    public static Vector256<float> LoadCodes(byte* source) => Vector256.Load(source).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AddDots(
        Vector256<float> ints, Vector256<float> codes0, Vector256<float> codes1, Vector256<float> codes2, Vector256<float> codes3, sbyte* x)
    {
        int* quads = (int*)x;
        Vector256<int> sums = AvxVnni.MultiplyWideningAndAdd(ints.AsInt32(), codes0.AsByte(), Vector256.Create(quads[0]).AsSByte());
        sums = AvxVnni.MultiplyWideningAndAdd(sums, codes1.AsByte(), Vector256.Create(quads[1]).AsSByte());
        sums = AvxVnni.MultiplyWideningAndAdd(sums, codes2.AsByte(), Vector256.Create(quads[2]).AsSByte());
        return AvxVnni.MultiplyWideningAndAdd(sums, codes3.AsByte(), Vector256.Create(quads[3]).AsSByte()).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBytes(Vector256<float> integers, sbyte* destination)
    {
        Vector256<int> ints = Vector256.ConvertToInt32Native(integers);
        Vector128<short> shorts = Vector128.Narrow(ints.GetLower(), ints.GetUpper());
        *(long*)destination = Vector128.Narrow(shorts, shorts).AsInt64().ToScalar();
    }
}
