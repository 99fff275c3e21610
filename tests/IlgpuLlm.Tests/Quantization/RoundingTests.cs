using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Loading;
using IlgpuLlm.Quantization;

namespace IlgpuLlm.Tests.Quantization;

/// <summary>The mathematics of the quantizer against sums written out in double precision.</summary>
[TestClass]
public sealed class RoundingTests
{
    private const int Width = 64, Rows = 24, Tokens = 200;

    private static readonly Random Random = new(3);
    private static readonly float[] Inputs = CorrelatedInputs(); // [Tokens, Width]
    private static readonly HostMatrix Matrix = new("m", Rows, Width, [.. Enumerable.Range(0, Rows * Width).Select(_ => Normal() * 0.05f)], null);

    [TestMethod]
    public void Statistics_OfBatches_AreTheSumsOverAllRows()
    {
        using var backend = new CpuBackend(1);
        using var statistics = new InputStatistics(backend, Width, 96);
        float[] exact = [.. Inputs.Select(value => 2 * value + 1)];
        for (int first = 0; first < Tokens; first += 96)
        {
            int count = Math.Min(96, Tokens - first) * Width;
            statistics.Add(Inputs.AsMemory(first * Width, count), exact.AsMemory(first * Width, count));
        }
        float[] products = statistics.MeanProducts(), cross = statistics.MeanCrossProducts(), magnitudes = statistics.MeanMagnitudes();
        for (int i = 0; i < Width; i++)
        {
            Assert.AreEqual(Sum(t => Math.Abs(X(t, i))) / Tokens, magnitudes[i], 1e-5);
            for (int j = 0; j < Width; j++)
            {
                Assert.AreEqual(Sum(t => X(t, i) * X(t, j)) / Tokens, products[i * Width + j], 1e-4);
                Assert.AreEqual(Sum(t => X(t, i) * exact[t * Width + j]) / Tokens, cross[i * Width + j], 1e-4, "row of x, column of y");
            }
        }
    }

    [TestMethod]
    public void Factor_SumOfSquares_IsTheQuadraticForm()
    {
        float[] products = Products();
        var factor = new ErrorFactor(products, Width);
        float[] changes = [.. Enumerable.Range(0, Width).Select(_ => Normal())];
        double expected = 0, actual = 0;
        for (int i = 0; i < Width; i++)
        {
            for (int j = 0; j < Width; j++)
                expected += changes[i] * (double)changes[j] * (products[i * Width + j] + (i == j ? factor.Damping : 0));
            double term = changes[i] + factor.Carried(changes, 0, i);
            actual += factor.Weight(i) * term * term;
        }
        Assert.AreEqual(expected, actual, 1e-4 * expected);
    }

    [TestMethod]
    public void Factor_Solve_InvertsTheProduct()
    {
        float[] products = Products();
        var factor = new ErrorFactor(products, Width);
        float[] expected = [.. Enumerable.Range(0, Width).Select(_ => Normal())], y = new float[Width];
        for (int j = 0; j < Width; j++)
            y[j] = (float)Enumerable.Range(0, Width).Sum(i => expected[i] * (double)(products[i * Width + j] + (i == j ? factor.Damping : 0)));
        factor.Solve(y);
        for (int i = 0; i < Width; i++)
            Assert.AreEqual(expected[i], y[i], 1e-3);
    }

    [TestMethod]
    [DataRow(32)]
    [DataRow(QuantizationFormat.WholeRow)]
    public void Feedback_CorrelatedInputs_HalvesTheError(int groupSize)
    {
        var format = new QuantizationFormat(4, groupSize);
        var rounding = new FeedbackRounding(new ErrorFactor(Products(), Width), format);
        float[] ones = [.. Enumerable.Repeat(1f, Width)];
        using var nearest = Rounding.ToNearest(Matrix, format);
        using var searched = rounding.Quantize(Matrix, ones);
        double before = OutputError(nearest, ones), after = OutputError(searched, ones);
        Assert.IsTrue(after < before / 2, $"{before:G4} to {after:G4}");
        Assert.AreEqual(after, rounding.ErrorOf(Matrix, ones, Rows), 0.5 * after, "but for the damping and coarser ranges");
    }

    [TestMethod]
    public void Feedback_Scales_AreTakenOut()
    {
        var format = new QuantizationFormat(4, 32);
        float[] scales = [.. Enumerable.Range(0, Width).Select(i => 0.8f + 0.1f * (i % 5))];
        using var codes = new FeedbackRounding(new ErrorFactor(Products(), Width), format).Quantize(Matrix, scales);
        float[] ones = [.. Enumerable.Repeat(1f, Width)];
        using var nearest = Rounding.ToNearest(Matrix, format);
        Assert.IsTrue(OutputError(codes, scales) < OutputError(nearest, ones));
        Assert.IsTrue(OutputError(codes, ones) > 5 * OutputError(codes, scales), "the codes are of scaled weights");
    }

    [TestMethod]
    public void ScaleSearch_LargeInputs_GetLargeScales()
    {
        // Eight inputs of 64 a hundred times the others': their weights should round best.
        float[] inputs = [.. Enumerable.Range(0, Tokens * Width).Select(i => Normal() * (i % Width % 8 == 0 ? 100 : 1))];
        float[] products = new float[Width * Width], magnitudes = new float[Width];
        for (int t = 0; t < Tokens; t++)
            for (int i = 0; i < Width; i++)
            {
                magnitudes[i] += Math.Abs(inputs[t * Width + i]) / Tokens;
                for (int j = 0; j < Width; j++)
                    products[i * Width + j] += inputs[t * Width + i] * inputs[t * Width + j] / Tokens;
            }
        var rounding = new FeedbackRounding(new ErrorFactor(products, Width), new QuantizationFormat(4, 64));
        float[] scales = ScaleSearch.Search(magnitudes, [Matrix], rounding, CancellationToken.None);
        Assert.IsTrue(scales[0] > 2 * scales[1], $"{scales[0]} and {scales[1]}");
        Assert.IsTrue(rounding.ErrorOf(Matrix, scales, Rows) < rounding.ErrorOf(Matrix, [.. Enumerable.Repeat(1f, Width)], Rows));
    }

    [TestMethod]
    public void Refit_InputsThatAreOff_GetsTheOutputsBack()
    {
        using var backend = new CpuBackend(1);
        using var statistics = new InputStatistics(backend, Width, Tokens);
        // The rounded layers before shrink every input by a tenth: weights a ninth larger make good for it.
        float[] shrunk = [.. Inputs.Select(value => 0.9f * value)];
        statistics.Add(shrunk, Inputs);
        var fitted = Refit.Fit(backend, Matrix, statistics, new ErrorFactor(statistics.MeanProducts(), Width));
        double before = 0, after = 0;
        for (int t = 0; t < Tokens; t++)
            for (int row = 0; row < Rows; row++)
            {
                double wanted = 0, plain = 0, better = 0;
                for (int k = 0; k < Width; k++)
                {
                    wanted += X(t, k) * (double)Matrix.Row(row)[k];
                    plain += shrunk[t * Width + k] * (double)Matrix.Row(row)[k];
                    better += shrunk[t * Width + k] * (double)fitted.Row(row)[k];
                }
                before += (wanted - plain) * (wanted - plain);
                after += (wanted - better) * (wanted - better);
            }
        Assert.IsTrue(after < 0.05 * before, $"{before:G4} to {after:G4}");
    }

    [TestMethod]
    public void Packers_RandomCodes_UnpackersReadThem()
    {
        const int numRows = 16, inFeatures = 24;
        byte[] codes = new byte[numRows * inFeatures], unpacked = new byte[codes.Length];
        Random.NextBytes(codes);
        byte[] words = GptqPacker.PackCodes(codes, numRows);
        GptqUnpacker.UnpackCodes(8, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(words), numRows, 0, numRows, unpacked);
        CollectionAssert.AreEqual(codes, unpacked);
        byte[] four = [.. codes.Select(code => (byte)(code & 15))];
        words = AwqPacker.Pack(four, numRows);
        AwqUnpacker.UnpackCodes(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(words), numRows / 8, 0, numRows, unpacked);
        CollectionAssert.AreEqual(four, unpacked);
    }

    private static float X(int token, int feature) => Inputs[token * Width + feature];

    private static double Sum(Func<int, double> value) => Enumerable.Range(0, Tokens).Sum(value);

    private static float[] Products() =>
        [.. Enumerable.Range(0, Width * Width).Select(at => (float)(Sum(t => X(t, at / Width) * (double)X(t, at % Width)) / Tokens))];

    private static double OutputError(QuantizedRowsBuffer codes, float[] scales)
    {
        float[] values = new float[Rows * Width];
        codes.Dequantize([], values);
        double error = 0;
        for (int row = 0; row < Rows; row++)
            for (int t = 0; t < Tokens; t++)
            {
                double change = 0;
                for (int k = 0; k < Width; k++)
                    change += X(t, k) * (values[row * Width + k] / (double)scales[k] - Matrix.Row(row)[k]);
                error += change * change / Tokens;
            }
        return error;
    }

    private static float[] CorrelatedInputs()
    {
        // A quarter as many directions as features, and some noise.
        float[] directions = [.. Enumerable.Range(0, Width / 4 * Width).Select(_ => Normal())], inputs = new float[Tokens * Width];
        for (int t = 0; t < Tokens; t++)
        {
            float[] strengths = [.. Enumerable.Range(0, Width / 4).Select(_ => Normal())];
            for (int k = 0; k < Width; k++)
                inputs[t * Width + k] = 0.3f * Normal() + Enumerable.Range(0, Width / 4).Sum(d => strengths[d] * directions[d * Width + k]) / 4;
        }
        return inputs;
    }

    private static float Normal() => (float)(Math.Sqrt(-2 * Math.Log(1 - Random.NextDouble())) * Math.Cos(2 * Math.PI * Random.NextDouble()));
}
