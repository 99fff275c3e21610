using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Weights that are packed right out of a checkpoint's words have the bits of those that are packed code by code.</summary>
[TestClass]
public sealed class QuantizedWordsTests
{
    [TestMethod]
    [DataRow(64, 64, 64)]
    [DataRow(72, 96, 32)] // neither whole panels nor whole blocks
    [DataRow(8, 8, -1)]
    [DataRow(320, 136, -1)] // more panels than are packed together
    [DataRow(600, 256, 128)]
    public void TryLoadWords_BothLayouts_HaveTheBitsOfCodes(int outFeatures, int inFeatures, int groupSize)
    {
        using GpuBackend backend = TestDevice.Create();
        foreach (var layout in Enum.GetValues<QuantizedWordLayout>())
        {
            var matrix = new WordMatrix(layout, groupSize, outFeatures, inFeatures, seed: 1);
            using LinearWeight expected = Create(backend, matrix), actual = Create(backend, matrix);
            matrix.LoadCodes(expected, 0);
            Assert.IsTrue(actual.TryLoadWords(0, outFeatures, matrix.Words, 0));
            AssertSameBits(expected, actual);
        }
    }

    [TestMethod]
    public void TryLoadWords_InputsThatAreNoMultipleOfEight_HaveTheBitsOfCodes()
    {
        // A word of outputs has one input.
        var matrix = new WordMatrix(QuantizedWordLayout.Outputs, -1, 136, 77, seed: 2);
        using GpuBackend backend = TestDevice.Create();
        using LinearWeight expected = Create(backend, matrix), actual = Create(backend, matrix);
        matrix.LoadCodes(expected, 0);
        Assert.IsTrue(actual.TryLoadWords(0, 136, matrix.Words, 0));
        AssertSameBits(expected, actual);
    }

    [TestMethod]
    public void TryLoadWords_RowsOfSeveralMatrices_FillWholePanelsOnly()
    {
        const int Rows = 200, Inputs = 128;
        using GpuBackend backend = TestDevice.Create();
        foreach (var layout in Enum.GetValues<QuantizedWordLayout>())
        {
            WordMatrix upper = new(layout, 64, Rows, Inputs, seed: 3), lower = new(layout, 64, Rows, Inputs, seed: 4);
            using LinearWeight expected = backend.CreateQuantizedLinear(2 * Rows, Inputs, upper.Format, hasBias: false, []);
            using LinearWeight actual = backend.CreateQuantizedLinear(2 * Rows, Inputs, upper.Format, hasBias: false, []);
            upper.LoadCodes(expected, 0);
            lower.LoadCodes(expected, Rows);

            Assert.IsFalse(actual.TryLoadWords(0, Rows, upper.Words, 0), "the last panel is not complete");
            Assert.IsFalse(actual.TryLoadWords(Rows, Rows, lower.Words, 0), "the first panel begins above");
            Assert.IsFalse(actual.TryLoadWords(256, 144, lower.Words, 52), "the rows begin within a word");
            Assert.IsTrue(actual.TryLoadWords(64, 128, upper.Words, 64));
            Assert.IsTrue(actual.TryLoadWords(256, 144, lower.Words, 56));
            upper.LoadCodes(actual, 0, 0, 64);
            upper.LoadCodes(actual, 192, 192, 8);
            lower.LoadCodes(actual, Rows, 0, 56);
            AssertSameBits(expected, actual);
        }
    }

    [TestMethod]
    [DataRow(32, 64)]
    [DataRow(8, 96)]
    [DataRow(40, 64)]
    [DataRow(344, 128)]
    public void TryLoadGateUpWords_BothLayouts_HaveTheBitsOfCodes(int intermediate, int hidden)
    {
        using GpuBackend backend = TestDevice.Create();
        foreach (var layout in Enum.GetValues<QuantizedWordLayout>())
        {
            WordMatrix gate = new(layout, 32, intermediate, hidden, seed: 5), up = new(layout, 32, intermediate, hidden, seed: 6);
            using LinearWeight expected = CreateGateUp(backend, gate), actual = CreateGateUp(backend, gate);
            gate.LoadCodes(expected, 0);
            up.LoadCodes(expected, intermediate);
            int whole = intermediate / 32 * 32;
            if (whole < intermediate && whole > 0)
                Assert.IsFalse(actual.TryLoadGateUpWords(0, whole + 4, gate.Words, up.Words), "a panel has 32 of each");
            Assert.IsTrue(actual.TryLoadGateUpWords(whole, intermediate - whole, gate.Words, up.Words));
            Assert.IsTrue(actual.TryLoadGateUpWords(0, whole, gate.Words, up.Words));
            AssertSameBits(expected, actual);
        }
    }

    [TestMethod]
    public void TryLoadWords_RowsThatLieByTurns_AreRefusedAlone()
    {
        var gate = new WordMatrix(QuantizedWordLayout.Outputs, 32, 64, 64, seed: 7);
        using GpuBackend backend = TestDevice.Create();
        using LinearWeight gateUp = CreateGateUp(backend, gate), plain = backend.CreateQuantizedLinear(128, 64, gate.Format, hasBias: false, []);
        Assert.IsFalse(gateUp.TryLoadWords(0, 64, gate.Words, 0));
        Assert.IsFalse(plain.TryLoadGateUpWords(0, 64, gate.Words, gate.Words));
    }

    [TestMethod]
    public void TryLoadWords_WrongArguments_AreRefused()
    {
        var matrix = new WordMatrix(QuantizedWordLayout.Outputs, 32, 64, 64, seed: 8);
        var other = new WordMatrix(QuantizedWordLayout.Inputs, 32, 64, 64, seed: 8);
        using GpuBackend backend = TestDevice.Create();
        using LinearWeight weight = Create(backend, matrix), wider = backend.CreateQuantizedLinear(64, 96, matrix.Format, hasBias: false, []);
        using LinearWeight eightBits = backend.CreateQuantizedLinear(64, 64, new(8, 32), hasBias: false, []), gateUp = CreateGateUp(backend, matrix);
        Assert.ThrowsExactly<ArgumentException>(() => wider.TryLoadWords(0, 64, matrix.Words, 0));
        Assert.ThrowsExactly<InvalidOperationException>(() => eightBits.TryLoadWords(0, 64, matrix.Words, 0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => weight.TryLoadWords(8, 64, matrix.Words, 0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => weight.TryLoadWords(0, 64, matrix.Words, 8));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => gateUp.TryLoadGateUpWords(8, 64, matrix.Words, matrix.Words));
        Assert.ThrowsExactly<ArgumentException>(() => gateUp.TryLoadGateUpWords(0, 64, matrix.Words, other.Words));
        Assert.ThrowsExactly<ArgumentException>(() => weight.TryLoadGateUpWords(0, 64, matrix.Words, matrix.Words));
    }

    private static LinearWeight Create(GpuBackend backend, WordMatrix matrix) =>
        backend.CreateQuantizedLinear(matrix.OutFeatures, matrix.InFeatures, matrix.Format, hasBias: false, []);

    private static LinearWeight CreateGateUp(GpuBackend backend, WordMatrix gate) => backend.CreateQuantizedGateUp(
        new ModelShape(gate.InFeatures, gate.OutFeatures, new AttentionShape(2, 1, 32, 0, 1), ElementType.F16, gate.Format), gate.Format, hasBias: false, []);

    private static void AssertSameBits(LinearWeight expected, LinearWeight actual)
    {
        GpuQuantizedWeight first = (GpuQuantizedWeight)expected, second = (GpuQuantizedWeight)actual;
        CollectionAssert.AreEqual(Read(first, first.Codes), Read(second, second.Codes));
        CollectionAssert.AreEqual(Read(first, first.Groups), Read(second, second.Groups));
    }

    private static uint[] Read(GpuQuantizedWeight weight, GpuBuffer buffer)
    {
        var words = new uint[buffer.Length];
        weight.Device.CopyToHost(buffer.Address, MemoryMarshal.AsBytes(words.AsSpan()));
        return words;
    }
}
