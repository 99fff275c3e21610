using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>One float at a time: for tails, and for machines without vectors.</summary>
internal readonly unsafe partial struct SimdScalar : ISimd<float>
{
    public static bool IsSupported => true;

    public static int Count => 1;

    public static int TileRows => 6;

    public static float Broadcast(float value) => value;

    public static float Load(float* source) => *source;

    public static float LoadHalf(ushort* source) => (float)BitConverter.UInt16BitsToHalf(*source);

    public static float LoadPackedHalf(ushort* source) => BitConverter.Int32BitsToSingle(((short)*source << HalfBits.Shift) & HalfBits.Mask);

    public static float LoadBytes(byte* source) => *source;

    public static void LoadNibbles(byte* source, out float low, out float high)
    {
        low = *source & 15;
        high = *source >> 4;
    }

    public static void Store(float value, float* destination) => *destination = value;

    public static float Add(float a, float b) => a + b;

    public static float Sub(float a, float b) => a - b;

    public static float Mul(float a, float b) => a * b;

    public static float Div(float a, float b) => a / b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MulAdd(float a, float b, float c) => Simd128.HasFusedMultiplyAdd ? MathF.FusedMultiplyAdd(a, b, c) : a * b + c;

    public static float Max(float a, float b) => a > b ? a : b;

    public static float Min(float a, float b) => a < b ? a : b;

    public static float PowerOfTwo(float n) => BitConverter.Int32BitsToSingle((float.ConvertToIntegerNative<int>(n) + 127) << 23);

    public static float Sum(float a) => a;

    public static float MaxAcross(float a) => a;

    public static float Sums(float* vectors) => *vectors;
}
