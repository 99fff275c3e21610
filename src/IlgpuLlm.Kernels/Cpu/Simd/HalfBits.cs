using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// How a half becomes a float without F16C, which .NET 10 does not expose: sign-extended to 32 bits and shifted left by 13, its exponent and
/// mantissa lie where a float's do, but for the bias, which one exact multiplication by 2^(127 - 15) corrects, subnormals included. Infinities and
/// NaN then get their exponent by a bitwise or. A subnormal half makes that multiplication's operand subnormal, which costs a Zen 5 about 25 cycles:
/// the cache and scales of groups are read so; weights are stored otherwise.
/// </summary>
internal static unsafe class HalfBits
{
    public const int Shift = 13;

    /// <summary>Clears the three copies of the sign below it.</summary>
    public const int Mask = unchecked((int)0x8FFFE000);

    public const int Exponent = 0x1F << 23;

    public const int Infinity = 0xFF << 23;

    /// <summary>2^112.</summary>
    public const float Scale = 5.192296858534828e33f;

    private const short Magnitude = 0x7FFF, InfinityOfHalf = 0x7C00;

    /// <summary>Whether none of the halves is an infinity or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool AreFinite(ushort* source, int length)
    {
        Vector256<short> largest = default;
        int i = 0;
        for (; i <= length - Vector256<short>.Count; i += Vector256<short>.Count)
            largest = Vector256.Max(largest, Vector256.Load((short*)source + i) & Vector256.Create(Magnitude));
        bool areFinite = !Vector256.GreaterThanOrEqualAny(largest, Vector256.Create(InfinityOfHalf));
        for (; i < length; i++)
            areFinite &= (source[i] & Magnitude) < InfinityOfHalf;
        return areFinite;
    }
}
