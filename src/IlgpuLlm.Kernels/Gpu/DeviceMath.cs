using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Functions that must be accurate and the same on every accelerator.</summary>
internal static partial class DeviceMath
{
    /// <summary>x / (1 + exp(-x)).</summary>
    public static float Silu(float x) => x / (1f + Exp(-x));

    /// <summary>
    /// exp(x) within 2 ulp: 2^n e^r with |r| at most ln(2)/2 and the polynomial of Cephes' expf. PTX's own way, ex2.approx(x * log2(e)), is off by
    /// |x| times half an ulp from rounding the product: 40 ulp at x = -80. Below -87 the result is 0, above 88 infinite.
    /// </summary>
    public static float Exp(float x)
    {
        const float Log2E = 1.44269504f;
        const float Ln2High = 0.693359375f; // 9 bits, so that n * Ln2High is exact
        const float Ln2Low = -2.12194440e-4f;
        const float RoundToInteger = 12582912f; // 1.5 * 2^23: adding and subtracting it leaves the nearest integer
        if (x < -87f)
            return 0f;
        if (x > 88f)
            return float.PositiveInfinity;
        float n = x * Log2E + RoundToInteger - RoundToInteger;
        float r = x - n * Ln2High - n * Ln2Low;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        float exp = p * (r * r) + r + 1f;
        return exp * Bits.IntAsFloat((uint)((int)n + 127) << 23);
    }
}
