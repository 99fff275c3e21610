using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What sampling needs: exponentials in double precision, and Gumbel variates -ln(-ln u) with u = (word + 0.5) / 2^32.</summary>
internal static partial class DeviceMath
{
    /// <summary>How far <see cref="GumbelEstimate"/>, added to a value above -32 in single precision, may be from the true sum (measured: 5e-6).</summary>
    public const float GumbelError = 2e-5f;

    private const double InverseTwoTo32 = 1.0 / 4294967296.0;
    private const float Ln2 = 0.693147181f;
    private const uint SqrtHalfBits = 0x3F3504F3;

    /// <summary>exp(x) within 2 ulp for x in [-700, 0]: 2^n e^r with |r| at most ln(2)/2 and the Taylor polynomial of degree 13.</summary>
    public static double Exp(double x)
    {
        const double Log2E = 1.4426950408889634;
        const double Ln2High = 0.693147180369123816490; // 33 bits, so that n * Ln2High is exact
        const double Ln2Low = 1.90821492927058770002e-10;
        const double RoundToInteger = 6755399441055744.0; // 1.5 * 2^52
        double n = x * Log2E + RoundToInteger - RoundToInteger;
        double r = x - n * Ln2High - n * Ln2Low;
        double p = 1.0 / 6227020800;
        p = p * r + 1.0 / 479001600;
        p = p * r + 1.0 / 39916800;
        p = p * r + 1.0 / 3628800;
        p = p * r + 1.0 / 362880;
        p = p * r + 1.0 / 40320;
        p = p * r + 1.0 / 5040;
        p = p * r + 1.0 / 720;
        p = p * r + 1.0 / 120;
        p = p * r + 1.0 / 24;
        p = p * r + 1.0 / 6;
        p = p * r + 0.5;
        double exp = p * (r * r) + r + 1.0;
        return exp * Bits.IntAsFloat((ulong)((long)(int)n + 1023) << 52);
    }

    /// <summary>ln(x) within 2 ulp for normal x: 2 artanh((m - 1) / (m + 1)) as a series, with m in [sqrt(1/2), sqrt(2)), and the exponent's part.</summary>
    public static double Log(double x)
    {
        const double Ln2High = 0.693147180369123816490;
        const double Ln2Low = 1.90821492927058770002e-10;
        const ulong SqrtHalf = 0x3FE6A09E667F3BCD;
        ulong fromSqrtHalf = Bits.FloatAsInt(x) - SqrtHalf; // its exponent is that of x / sqrt(1/2)
        int exponent = (int)((long)fromSqrtHalf >> 52);
        double f = Bits.IntAsFloat((fromSqrtHalf & 0xFFFFFFFFFFFFF) + SqrtHalf) - 1.0;
        double s = f / (f + 2.0);
        double z = s * s;
        double p = 2.0 / 23;
        p = p * z + 2.0 / 21;
        p = p * z + 2.0 / 19;
        p = p * z + 2.0 / 17;
        p = p * z + 2.0 / 15;
        p = p * z + 2.0 / 13;
        p = p * z + 2.0 / 11;
        p = p * z + 2.0 / 9;
        p = p * z + 2.0 / 7;
        p = p * z + 2.0 / 5;
        p = p * z + 2.0 / 3;
        // ln(1 + f) = 2 s + s^3 p; with 2 s = f - s f the leading term is exact.
        return exponent * Ln2High + (f - (s * (f - z * p) - exponent * Ln2Low));
    }

    /// <summary>The Gumbel variate of a random word.</summary>
    public static double Gumbel(uint word) => -Log(-Log((word + 0.5) * InverseTwoTo32));

    /// <summary>The same in single precision: see <see cref="GumbelError"/>.</summary>
    public static float GumbelEstimate(uint word)
    {
        const float TwoToMinus32 = 2.3283064e-10f;
        const uint SqrtHalfWord = 0xB504F334;
        // By halves, as ILGPU converts unsigned integers through double.
        float u = ((int)(word >> 16) * 65536f + ((int)(word & 0xFFFF) + 0.5f)) * TwoToMinus32;
        // Near u = 1 it is 1 - u that must be accurate.
        bool isNearOne = word >= SqrtHalfWord;
        float exponent = isNearOne ? 0f : Exponent(u);
        float x = isNearOne ? -((int)~word + 0.5f) * TwoToMinus32 : Mantissa(u) - 1f;
        float t = -(exponent * Ln2 + Log1p(x));
        return -(Exponent(t) * Ln2 + Log1p(Mantissa(t) - 1f));
    }

    /// <summary>n with x = 2^n m, m in [sqrt(1/2), sqrt(2)), for normal x.</summary>
    private static float Exponent(float x) => (int)(Bits.FloatAsInt(x) - SqrtHalfBits) >> 23;

    /// <summary>That m.</summary>
    private static float Mantissa(float x) => Bits.IntAsFloat(((Bits.FloatAsInt(x) - SqrtHalfBits) & 0x7FFFFF) + SqrtHalfBits);

    /// <summary>ln(1 + x) for x in [sqrt(1/2) - 1, sqrt(2) - 1]: the polynomial of Cephes' logf.</summary>
    private static float Log1p(float x)
    {
        float z = x * x;
        float p = 7.0376836292e-2f;
        p = p * x - 1.1514610310e-1f;
        p = p * x + 1.1676998740e-1f;
        p = p * x - 1.2420140846e-1f;
        p = p * x + 1.4249322787e-1f;
        p = p * x - 1.6668057665e-1f;
        p = p * x + 2.0000714765e-1f;
        p = p * x - 2.4999993993e-1f;
        p = p * x + 3.3333331174e-1f;
        return p * x * z - 0.5f * z + x;
    }
}
