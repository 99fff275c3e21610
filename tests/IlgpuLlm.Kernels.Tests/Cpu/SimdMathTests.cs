using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Tests.Cpu;

[TestClass]
public sealed class SimdMathTests
{
    [TestMethod]
    public void Exp_EveryThousandthFloat_WithinTwoUlp()
    {
        double worst = 0;
        for (uint bits = 0; bits < 0x42B20000; bits += 1009)
            foreach (uint sign in new[] { 0u, 0x80000000u })
            {
                float x = BitConverter.UInt32BitsToSingle(bits | sign), y = SimdMath<SimdScalar, float>.Exp(x);
                double expected = Math.Exp(x);
                if (expected < float.MaxValue)
                    worst = Math.Max(worst, Math.Abs(y - expected) / (MathF.BitIncrement((float)expected) - (double)(float)expected));
            }
        Assert.IsLessThan(2.0, worst, "ulp");
        Console.WriteLine($"worst error of exp: {worst:F3} ulp");
    }

    [TestMethod]
    public void Exp_SpecialValues_AreIeee()
    {
        Assert.AreEqual(1f, SimdMath<SimdScalar, float>.Exp(0));
        Assert.AreEqual(0f, SimdMath<SimdScalar, float>.Exp(float.NegativeInfinity));
        Assert.AreEqual(0f, SimdMath<SimdScalar, float>.Exp(-1e30f));
        Assert.AreEqual(float.PositiveInfinity, SimdMath<SimdScalar, float>.Exp(float.PositiveInfinity));
        Assert.AreEqual(float.PositiveInfinity, SimdMath<SimdScalar, float>.Exp(88.8f));
        Assert.AreEqual(float.NaN, SimdMath<SimdScalar, float>.Exp(float.NaN));
    }

    [TestMethod]
    public void ExpOfNegative_EveryThousandthFloat_ExpOrZero()
    {
        for (uint bits = 0; bits <= 0x7F800000; bits += bits < 0x7F7F0000 ? 1009 : 1u)
        {
            float x = BitConverter.UInt32BitsToSingle(bits | 0x80000000u), expected = SimdMath<SimdScalar, float>.Exp(x);
            float actual = SimdMath<SimdScalar, float>.ExpOfNegative(x);
            Assert.AreEqual(x > -87.6f || (x > -88 && actual != 0) ? expected : 0, actual, $"of {x:R}");
        }
        Assert.AreEqual(1f, SimdMath<SimdScalar, float>.ExpOfNegative(0));
        Assert.AreEqual(float.NaN, SimdMath<SimdScalar, float>.ExpOfNegative(float.NaN));
    }

    [TestMethod]
    public void Exp_AllWidths_SameBits()
    {
        Compare<Simd128, Vector128<float>>();
        Compare<Simd256, Vector256<float>>();
        Compare<Simd512, Vector512<float>>();
    }

    private static unsafe void Compare<TSimd, TVec>()
        where TSimd : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        if (!TSimd.IsSupported)
            return;
        float* x = stackalloc float[TSimd.Count], y = stackalloc float[TSimd.Count];
        var random = new Random(1);
        for (int n = 0; n < 20000; n++)
        {
            for (int i = 0; i < TSimd.Count; i++)
                x[i] = n % 2 == 0 ? (random.NextSingle() - 0.5f) * 220 : BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
            TSimd.Store(SimdMath<TSimd, TVec>.Exp(TSimd.Load(x)), y);
            CompareLanes(SimdMath<SimdScalar, float>.Exp);
            for (int i = 0; i < TSimd.Count; i++)
                x[i] = -MathF.Abs(x[i]);
            TSimd.Store(SimdMath<TSimd, TVec>.ExpOfNegative(TSimd.Load(x)), y);
            CompareLanes(SimdMath<SimdScalar, float>.ExpOfNegative);
        }

        void CompareLanes(Func<float, float> exp)
        {
            for (int i = 0; i < TSimd.Count; i++)
            {
                float expected = exp(x[i]);
                if (!expected.Equals(y[i]))
                    Assert.Fail($"exp({x[i]:R}) is {y[i]:R} in {typeof(TSimd).Name}, {expected:R} alone");
            }
        }
    }
}
