using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests;

[TestClass]
public sealed class GroupQuantizerTests
{
    [TestMethod]
    [DataRow(4, 32)]
    [DataRow(4, -1)]
    [DataRow(8, 64)]
    public void Quantize_RandomRow_IsWithinHalfAStepOfEachGroup(int bits, int groupSize)
    {
        var format = new QuantizationFormat(bits, groupSize);
        float[] values = TestTensors.Random(1, 192);
        values[5] = 0;
        var (codes, scales, zeros) = Quantize(values, format);
        int length = format.GroupLength(values.Length);
        for (int i = 0; i < values.Length; i++)
        {
            float scale = (float)scales[i / length], range = scale * ((1 << bits) - 1);
            Assert.AreEqual(values[i], (codes[i] - zeros[i / length]) * scale, 0.5 * scale + range / 2048, $"element {i}");
        }
        Assert.AreEqual(zeros[5 / length], codes[5], "0 is exact");
        Assert.IsTrue(codes.Max() <= (1 << bits) - 1);
    }

    [TestMethod]
    [DataRow(5f, 6f)] // the range is widened to hold 0
    [DataRow(-6f, -5f)]
    [DataRow(1e-9f, 2e-9f)] // below the smallest scale
    [DataRow(0f, 0f)]
    [DataRow(-3e4f, 6e4f)]
    public void Quantize_OneSidedTinyOrLarge_KeepsTheValues(float low, float high)
    {
        float[] values = [.. Enumerable.Range(0, 32).Select(i => low + (high - low) * i / 31)];
        var (codes, scales, zeros) = Quantize(values, new QuantizationFormat(8, 32));
        double tolerance = Math.Max(0.51 * Math.Max(Math.Max(high, -low), high - low) / 255 + (high - low) / 2048, 3e-8);
        for (int i = 0; i < values.Length; i++)
            Assert.AreEqual(values[i], (codes[i] - zeros[0]) * (float)scales[0], tolerance);
    }

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    [DataRow(float.NegativeInfinity)]
    [DataRow(3e7f)]
    public void Quantize_ValueThatNoScaleReaches_IsPointedOut(float bad)
    {
        float[] values = TestTensors.Random(1, 64);
        values[40] = bad;
        Assert.AreEqual(40, GroupQuantizer.Quantize(values, new QuantizationFormat(8, 32), new byte[64], new Half[2], new byte[2]));
    }

    private static (byte[] Codes, Half[] Scales, byte[] Zeros) Quantize(float[] values, QuantizationFormat format)
    {
        int groups = format.NumGroups(values.Length);
        var (codes, scales, zeros) = (new byte[values.Length], new Half[groups], new byte[groups]);
        Assert.AreEqual(-1, GroupQuantizer.Quantize(values, format, codes, scales, zeros));
        return (codes, scales, zeros);
    }
}
