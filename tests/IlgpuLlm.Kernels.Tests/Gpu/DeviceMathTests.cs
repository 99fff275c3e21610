using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Kernel functions are plain C#: here they run on the host, where all of their range can be tried.</summary>
[TestClass]
public sealed class DeviceMathTests
{
    [TestMethod]
    public void Exp_WholeRange_WithinTwoUlp()
    {
        double worst = 0;
        for (int i = -870_000; i <= 880_000; i++)
        {
            float x = i / 10_000f;
            double exact = Math.Exp(x);
            double ulp = MathF.BitIncrement((float)exact) - (double)(float)exact;
            worst = Math.Max(worst, Math.Abs(DeviceMath.Exp(x) - exact) / ulp);
        }
        Assert.IsLessThan(2.0, worst);
    }

    [TestMethod]
    public void Exp_Limits_AreZeroInfinityAndNaN()
    {
        Assert.AreEqual(1f, DeviceMath.Exp(0f));
        Assert.AreEqual(0f, DeviceMath.Exp(-1000f));
        Assert.AreEqual(0f, DeviceMath.Exp(float.NegativeInfinity));
        Assert.AreEqual(float.PositiveInfinity, DeviceMath.Exp(1000f));
        Assert.IsTrue(float.IsNaN(DeviceMath.Exp(float.NaN)));
    }

    [TestMethod]
    public void DoubleExpAndLog_WholeRange_WithinThreeUlp()
    {
        var random = new Random(1);
        for (int i = 0; i < 200_000; i++)
        {
            double x = -60 * random.NextDouble(), y = Math.Exp(-50 + 60 * random.NextDouble()), nearOne = 1 - Math.Exp(-23 * random.NextDouble());
            AssertUlps(Math.Exp(x), DeviceMath.Exp(x), $"exp({x:R})");
            AssertUlps(Math.Log(y), DeviceMath.Log(y), $"ln({y:R})");
            AssertUlps(Math.Log(nearOne), DeviceMath.Log(nearOne), $"ln({nearOne:R})");
        }
        Assert.AreEqual(1.0, DeviceMath.Exp(0.0));

        static void AssertUlps(double expected, double actual, string what) =>
            Assert.IsLessThanOrEqualTo(3 * (Math.BitIncrement(Math.Abs(expected)) - Math.Abs(expected)), Math.Abs(expected - actual), what);
    }

    [TestMethod]
    public void Gumbel_ManyWords_IsExactAndItsEstimateWithinHalfItsBound()
    {
        var random = new Random(2);
        double worst = 0;
        for (int i = 0; i < 1_000_000; i++)
        {
            uint word = i switch
            {
                < 20_000 => (uint)i,
                < 40_000 => ~(uint)(i - 20_000),
                < 60_000 => 0xB504F334 - 10_000 + (uint)(i - 40_000), // around sqrt(1/2)
                < 100_000 => 0x5E2D58D8 - 20_000 + (uint)(i - 60_000), // around 1/e, where -ln u is 1
                _ => (uint)random.NextInt64(1L << 32),
            };
            double exact = -Math.Log(-Math.Log((word + 0.5) / 4294967296.0));
            Assert.AreEqual(exact, DeviceMath.Gumbel(word), 1e-14 * (1 + Math.Abs(exact)), $"word {word}");
            float value = -27 * random.NextSingle();
            worst = Math.Max(worst, Math.Abs(value + DeviceMath.GumbelEstimate(word) - (value + exact)));
        }
        Assert.IsLessThan(DeviceMath.GumbelError / 2, worst);
    }

    [TestMethod]
    public void Narrow_EveryHalfAndItsNeighbours_RoundsAsSystemHalf()
    {
        for (int bits = 0; bits < 65536; bits++)
        {
            var half = BitConverter.UInt16BitsToHalf((ushort)bits);
            if (Half.IsNaN(half))
                continue;
            float value = (float)half;
            float tie = (value + (float)BitConverter.UInt16BitsToHalf((ushort)(bits + 1))) / 2;
            foreach (float x in new[] { value, tie, MathF.BitIncrement(value), MathF.BitDecrement(value), MathF.BitIncrement(tie), MathF.BitDecrement(tie) })
            {
                if (!float.IsNaN(x))
                    Assert.AreEqual(BitConverter.HalfToUInt16Bits((Half)x), F16Element.Narrow(x), $"{x:R}");
            }
        }
        Assert.IsTrue(Half.IsNaN(BitConverter.UInt16BitsToHalf(F16Element.Narrow(float.NaN))));
    }
}
