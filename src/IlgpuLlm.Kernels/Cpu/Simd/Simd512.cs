using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>AVX-512.</summary>
internal readonly unsafe partial struct Simd512 : ISimd<Vector512<float>>
{
    public static bool IsSupported => Vector512.IsHardwareAccelerated && Fma.IsSupported;

    public static int Count => Vector512<float>.Count;

    public static int TileRows => 12;

    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadHalf(ushort* source)
    {
        Vector512<int> bits = Widen(source);
        Vector512<int> special = Vector512.Equals(bits & Vector512.Create(HalfBits.Exponent), Vector512.Create(HalfBits.Exponent));
        return (bits.AsSingle() * HalfBits.Scale) | (special & Vector512.Create(HalfBits.Infinity)).AsSingle();
    }

    public static Vector512<float> LoadPackedHalf(ushort* source) => Widen(source).AsSingle();

    public static Vector512<float> LoadBytes(byte* source) => Vector512.ConvertToSingle(Widen(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadNibbles(byte* source, out Vector512<float> low, out Vector512<float> high)
    {
        Vector512<int> bytes = Widen(source);
        low = Vector512.ConvertToSingle(bytes & Vector512.Create(15));
        high = Vector512.ConvertToSingle(bytes >>> 4);
    }

    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    public static Vector512<float> Sub(Vector512<float> a, Vector512<float> b) => a - b;

    public static Vector512<float> Mul(Vector512<float> a, Vector512<float> b) => a * b;

    public static Vector512<float> Div(Vector512<float> a, Vector512<float> b) => a / b;

    public static Vector512<float> MulAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);

    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.MaxNative(a, b);

    public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.MinNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> n) => ((Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23).AsSingle();

    public static float Sum(Vector512<float> a) => Simd256.Sum(a.GetLower() + a.GetUpper());

    public static float MaxAcross(Vector512<float> a) => Simd256.MaxAcross(Vector256.MaxNative(a.GetLower(), a.GetUpper()));

    /// <inheritdoc/>
    // Two shuffles and an addition for two vectors each, down to one: 45 instructions for 16 sums.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sums(Vector512<float>* v)
    {
        Vector512<float> first = Pairs(Quarters(v[0], v[4], v[8], v[12]), Quarters(v[1], v[5], v[9], v[13]));
        return Pairs(first, Pairs(Quarters(v[2], v[6], v[10], v[14]), Quarters(v[3], v[7], v[11], v[15])));
    }

    /// <summary>The four quarters of each of four vectors added up, (0 + 2) + (1 + 3): [a, b, c, d].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarters(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        Vector512<float> ab = Avx512F.Shuffle4x128(a, b, 0x44) + Avx512F.Shuffle4x128(a, b, 0xEE), cd = Avx512F.Shuffle4x128(c, d, 0x44) + Avx512F.Shuffle4x128(c, d, 0xEE);
        return Avx512F.Shuffle4x128(ab, cd, 0x88) + Avx512F.Shuffle4x128(ab, cd, 0xDD);
    }

    /// <summary>In each quarter [a0 + a1, a2 + a3, b0 + b1, b2 + b3].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Pairs(Vector512<float> a, Vector512<float> b) => Avx512F.Shuffle(a, b, 0x88) + Avx512F.Shuffle(a, b, 0xDD);

    /// <summary>Halves, or <see cref="PackedHalf"/>, with their bits where a float has them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Widen(ushort* source)
        => (Vector512.WidenLower(Vector256.Load((short*)source).ToVector512Unsafe()) << HalfBits.Shift) & Vector512.Create(HalfBits.Mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Widen(byte* source) => Avx512F.ConvertToVector512Int32(Vector128.Load(source));
}
