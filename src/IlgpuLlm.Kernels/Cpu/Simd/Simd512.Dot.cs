using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

internal readonly unsafe partial struct Simd512
{
    public static Vector512<float> BroadcastBits(int* source) => Vector512.Create(*source).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitNibbles(byte* source, out Vector512<float> low, out Vector512<float> high)
    {
        Vector512<byte> bytes = Vector512.Load(source), mask = Vector512.Create((byte)15);
        low = (bytes & mask).AsSingle();
        high = ((bytes.AsUInt16() >>> 4).AsByte() & mask).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitBytes(byte* source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<ushort> pairs = Vector512.Load(source).AsUInt16();
        even = (pairs & Vector512.Create((ushort)0xFF)).AsSingle();
        odd = (pairs >>> 8).AsSingle();
    }

    public static Vector512<float> MultiplyBytes(Vector512<float> codes, Vector512<float> signed) => Avx512BW.MultiplyAddAdjacent(codes.AsByte(), signed.AsSByte()).AsSingle();

    public static Vector512<float> AddShorts(Vector512<float> a, Vector512<float> b) => (a.AsInt16() + b.AsInt16()).AsSingle();

    public static Vector512<float> MultiplyShorts(Vector512<float> a, Vector512<float> b) => Avx512BW.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();

    public static Vector512<float> AddInts(Vector512<float> a, Vector512<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    public static Vector512<float> ShortsToFloats(Vector512<float> shorts) => Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(shorts.AsInt16(), Vector512.Create((short)1)));

    public static Vector512<float> IntsToFloats(Vector512<float> ints) => Vector512.ConvertToSingle(ints.AsInt32());

    public static void StoreBytes(Vector512<float> integers, sbyte* destination)
        => Avx512F.ConvertToVector128SByte(Vector512.ConvertToInt32Native(integers)).Store(destination);
}
