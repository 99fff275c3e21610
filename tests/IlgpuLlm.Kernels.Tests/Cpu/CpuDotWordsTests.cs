using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>Weights that are packed right out of a checkpoint's words have the bits of those that are packed code by code.</summary>
[TestClass]
public sealed unsafe class CpuDotWordsTests
{
    public static IEnumerable<object[]> VectorLengths => CpuKernels.WidestFirst.Select(kernels => new object[] { kernels.VectorLength });

    [TestMethod]
    [DynamicData(nameof(VectorLengths))]
    public void TryLoadWords_BothLayouts_HaveTheBitsOfCodes(int vectorLength)
    {
        using CpuBackend backend = Create(vectorLength);
        foreach (var (outFeatures, inFeatures, groupSize) in new[] { (8, 32, 32), (40, 96, -1), (72, 192, 64), (312, 256, 128) })
            foreach (var layout in Enum.GetValues<QuantizedWordLayout>())
            {
                var matrix = new WordMatrix(layout, groupSize, outFeatures, inFeatures, seed: 1);
                using var expected = (CpuDotLinearWeight)backend.CreateQuantizedLinear(outFeatures, inFeatures, matrix.Format, hasBias: false, []);
                using var actual = (CpuDotLinearWeight)backend.CreateQuantizedLinear(outFeatures, inFeatures, matrix.Format, hasBias: false, []);
                matrix.LoadCodes(expected, 0);
                Assert.AreEqual(TakesWords(actual), actual.TryLoadWords(0, outFeatures, matrix.Words, 0));
                if (TakesWords(actual))
                    AssertSameBits(expected, actual);
            }
    }

    [TestMethod]
    [DynamicData(nameof(VectorLengths))]
    public void TryLoadWords_RowsOfSeveralMatrices_LieWhereCodesDo(int vectorLength)
    {
        const int Rows = 56, Inputs = 160;
        using CpuBackend backend = Create(vectorLength);
        foreach (var layout in Enum.GetValues<QuantizedWordLayout>())
        {
            WordMatrix upper = new(layout, 32, Rows, Inputs, seed: 2), lower = new(layout, 32, Rows, Inputs, seed: 3);
            using var expected = (CpuDotLinearWeight)backend.CreateQuantizedLinear(2 * Rows, Inputs, upper.Format, hasBias: false, []);
            using var actual = (CpuDotLinearWeight)backend.CreateQuantizedLinear(2 * Rows, Inputs, upper.Format, hasBias: false, []);
            if (!TakesWords(actual))
            {
                Assert.IsFalse(actual.TryLoadWords(0, Rows, upper.Words, 0));
                continue;
            }
            upper.LoadCodes(expected, 0);
            lower.LoadCodes(expected, Rows);
            Assert.IsTrue(actual.TryLoadWords(0, Rows, upper.Words, 0));
            Assert.IsTrue(actual.TryLoadWords(Rows + 16, Rows - 16, lower.Words, 16));
            Assert.IsTrue(actual.TryLoadWords(Rows, 16, lower.Words, 0));
            Assert.IsFalse(actual.TryLoadWords(4, 8, lower.Words, 0), "the rows are parts of two words");
            Assert.IsFalse(actual.TryLoadWords(0, 8, lower.Words, 4), "the rows begin within a word");
            AssertSameBits(expected, actual);
        }
    }

    [TestMethod]
    public void TryLoadWords_GroupsThatFillNoBlock_AreRefused()
    {
        using CpuBackend backend = Create(CpuKernels.WidestFirst[0].VectorLength);
        var matrix = new WordMatrix(QuantizedWordLayout.Outputs, -1, 32, 40, seed: 4);
        using var weight = (CpuDotLinearWeight)backend.CreateQuantizedLinear(32, 40, matrix.Format, hasBias: false, []);
        Assert.IsFalse(weight.TryLoadWords(0, 32, matrix.Words, 0));
    }

    private static CpuBackend Create(int vectorLength) =>
        new(1, CpuKernels.WidestFirst.First(kernels => kernels.VectorLength == vectorLength), CpuActivations.Int8);

    /// <summary>Words become four outputs' chunks at once: not those of single floats.</summary>
    private static bool TakesWords(CpuDotLinearWeight weight) => weight.Dots.VectorLength >= 4;

    private static void AssertSameBits(CpuDotLinearWeight expected, CpuDotLinearWeight actual)
    {
        int panelWidth = 2 * expected.Dots.VectorLength;
        Assert.IsTrue(Codes(expected).SequenceEqual(Codes(actual)), "codes");
        for (int row = 0; row < expected.OutFeatures; row++)
            for (int group = 0; group < expected.Dots.NumGroups; group++)
            {
                int panel = row / panelWidth, lane = row % panelWidth;
                Assert.AreEqual(expected.Scales(panel, group)[lane], actual.Scales(panel, group)[lane], $"scale [{row}, {group}]");
                Assert.AreEqual(expected.Zeros(panel, group)[lane], actual.Zeros(panel, group)[lane], $"zero point [{row}, {group}]");
            }
    }

    private static ReadOnlySpan<byte> Codes(CpuDotLinearWeight weight) => new(weight.Codes(0), checked((int)weight.Dots.ByteLength));
}
