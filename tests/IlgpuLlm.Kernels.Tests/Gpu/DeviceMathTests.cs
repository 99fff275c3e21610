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
