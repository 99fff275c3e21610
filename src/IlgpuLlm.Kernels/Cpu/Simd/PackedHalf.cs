using System.Numerics;
using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Halves as weights store them: the same 16 bits, but with an exponent bias of 25 instead of 15, so that a half's subnormal is a normal number here and
/// zero alone has the exponent 0. Sign-extended to 32 bits, shifted left by 13 and masked, they are floats of 2^-102 times their value, none of
/// them subnormal: three instructions, where a half itself takes six and 25 cycles more for a subnormal one (.NET 10 does not expose F16C). Inputs and sums
/// carry the rest of the factor. Measured on one thread of a Zen 4: 31 GB/s of weights from memory, which is all that it gives, instead of 20.
/// </summary>
internal static class PackedHalf
{
    public const int Shift = HalfBits.Shift;

    public const int Mask = HalfBits.Mask;

    /// <summary>What inputs are multiplied with when they are packed. Inputs up to 2^88 stay finite.</summary>
    public const float InputScale = 1L << 40;

    /// <summary>What sums of such inputs times such weights are multiplied with: 2^(102 - 40). Sums down to 2^-64 are exact.</summary>
    public const float SumScale = 1L << 62;

    /// <summary>2^102.</summary>
    private const float ValueScale = InputScale * SumScale;

    private const int BiasDifference = 10 << 10;

    /// <summary>
    /// The code of a half's bits; false where it has none: 128 and above, infinities and NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryEncode(ushort half, out ushort code)
    {
        int magnitude = half & 0x7FFF;
        if (magnitude is >= 0x0400 and < 0x5800)
        {
            code = (ushort)(half + BiasDifference);
            return true;
        }
        return TryEncodeSubnormal(half, out code);
    }

    /// <summary>The value of a code.</summary>
    public static float Decode(ushort code) => BitConverter.Int32BitsToSingle(((short)code << Shift) & Mask) * ValueScale;

    private static bool TryEncodeSubnormal(ushort half, out ushort code)
    {
        int mantissa = half & 0x7FFF;
        code = 0;
        if (mantissa >= 0x0400)
            return false;
        if (mantissa == 0)
        {
            code = half;
            return true;
        }
        // mantissa * 2^-24, whose leading bit becomes implicit.
        int exponent = BitOperations.Log2((uint)mantissa);
        code = (ushort)((half & 0x8000) | (exponent + 1) << 10 | ((mantissa << (10 - exponent)) & 0x3FF));
        return true;
    }
}
