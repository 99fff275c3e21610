using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>Codes times activations of 8 bits in every vector width, single floats included, against products of the rounded activations in double precision.</summary>
[TestClass]
public sealed class CpuDotLinearTests
{
    private static readonly int[] RowCounts = [1, 2, 3, 5, 8, 13, 33, 64, 65, 130];

    // Less than a panel, around panels, rows that end within a block of 32, one group and many.
    private static readonly (int Out, int In, int GroupSize)[] Shapes =
    [
        (1, 1, -1), (3, 7, -1), (16, 32, 32), (31, 33, -1), (33, 64, 32), (48, 192, 64), (65, 257, -1), (100, 256, 128), (130, 640, 128), (17, 1056, 96),
    ];

    public static IEnumerable<object[]> Widths => CpuQuantizedLinearTests.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_OddShapes_MatchesReferenceAndAnyNumberOfRowsAndWidth(int vectorLength, int bits)
    {
        using CpuBackend backend = Create(vectorLength), widest = Create(CpuKernels.WidestFirst[0].VectorLength);
        foreach (var (n, k, groupSize) in Shapes)
        {
            var matrix = new QuantizedMatrix(n, k, new QuantizationFormat(bits, groupSize));
            float[] bias = TestTensors.Random(k, n);
            using LinearWeight weight = matrix.Load(backend, bias), other = matrix.Load(widest, bias);
            Assert.IsInstanceOfType<CpuDotLinearWeight>(weight);
            int most = RowCounts[^1];
            float[] x = TestTensors.Random(most, most * k), all = Multiply(backend, weight, x, most);
            string what = $"[{n}, {k}] in groups of {groupSize}";
            TestTensors.AssertClose(ReferenceKernels.Linear(matrix.Values, bias, Round(x, k), most, n, k), all, 5e-5 * matrix.Largest, 1e-6, what);
            TestTensors.AssertSameBits(Multiply(widest, other, x, most), all, $"{what}, the widest vectors");
            foreach (int rows in RowCounts)
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * n), Multiply(backend, weight, x[((most - rows) * k)..], rows), $"{rows} rows of {what}");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_LargestCodesAndActivations_DoNotOverflow(int vectorLength, int bits)
    {
        const int K = 256;
        using var backend = Create(vectorLength);
        using var weight = backend.CreateQuantizedLinear(1, K, new QuantizationFormat(bits, 128), hasBias: false, []);
        byte[] codes = new byte[K];
        Array.Fill(codes, (byte)((1 << bits) - 1));
        weight.LoadQuantizedRows(0, 1, new QuantizedRows(codes, [(Half)1, (Half)1], [0, 0]));
        float[] x = [.. Enumerable.Repeat(127f, K), .. Enumerable.Repeat(-127f, K)];
        CollectionAssert.AreEqual(new[] { 127f * K * codes[0], -127f * K * codes[0] }, Multiply(backend, weight, x, 2));
        CollectionAssert.AreEqual(new[] { 127f * K * codes[0] }, Multiply(backend, weight, x[..K], 1));
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_InputsThatCannotBeRounded_StayInTheirRow(int vectorLength, int bits)
    {
        const int N = 20, K = 96;
        using var backend = Create(vectorLength);
        var matrix = new QuantizedMatrix(N, K, new QuantizationFormat(bits, 32));
        using var weight = matrix.Load(backend, null);
        float[] x = TestTensors.Random(1, 6 * K), expected = Multiply(backend, weight, x, 6);
        (x[0 * K + 5], x[1 * K + 40], x[2 * K + 95]) = (float.NaN, float.PositiveInfinity, float.NegativeInfinity);
        x.AsSpan(3 * K, K).Fill(float.Epsilon);
        x.AsSpan(4 * K, K).Clear();
        float[] y = Multiply(backend, weight, x, 6);
        Assert.IsTrue(y.Take(3 * N).All(float.IsNaN), "NaN and infinities");
        Assert.IsTrue(y.Skip(3 * N).Take(2 * N).All(v => v == 0), "subnormal and zero rows");
        TestTensors.AssertSameBits(expected.AsSpan(5 * N), y.AsSpan(5 * N), "the row below");
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void Linear_ReorderedInputs_SameAsInOrder(int bits)
    {
        const int N = 40, K = 160, Rows = 7;
        using var backend = new CpuBackend(2, CpuActivations.Int8);
        var matrix = new QuantizedMatrix(N, K, new QuantizationFormat(bits, 32));
        int[] order = [.. Enumerable.Range(0, K)];
        new Random(1).Shuffle(order);
        using LinearWeight inOrder = matrix.Load(backend, null), reordered = matrix.Load(backend, null, order);
        float[] x = TestTensors.Random(1, Rows * K), moved = new float[Rows * K];
        for (int r = 0; r < Rows; r++)
            for (int j = 0; j < K; j++)
                moved[r * K + order[j]] = x[r * K + j];
        TestTensors.AssertSameBits(Multiply(backend, inOrder, x, Rows), Multiply(backend, reordered, moved, Rows), "stored input j is feature order[j]");
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void LinearAdd_Rounded_AddsTheProduct(int bits)
    {
        const int N = 50, K = 128, Rows = 5;
        using var backend = new CpuBackend(3, CpuActivations.Int8);
        var matrix = new QuantizedMatrix(N, K, new QuantizationFormat(bits, 64));
        using var weight = matrix.Load(backend, null);
        float[] x = TestTensors.Random(1, Rows * K), residual = TestTensors.Random(2, Rows * N);
        using DeviceBuffer input = backend.Upload(x), sum = backend.Upload(residual);
        backend.LinearAdd(weight, input, sum, Rows);
        TestTensors.AssertSameBits([.. Multiply(backend, weight, x, Rows).Zip(residual, (a, b) => b + a)], backend.Download(sum), "added");
    }

    [TestMethod]
    [DataRow(4, 2, 64)]
    [DataRow(4, 100, 600)]
    [DataRow(8, 48, 96)]
    public void CreateQuantizedLinear_GroupsOfNoMultipleOf32_MeetFloats(int bits, int groupSize, int inFeatures)
    {
        using CpuBackend backend = new(1, CpuActivations.Int8), floats = new(1);
        var matrix = new QuantizedMatrix(10, inFeatures, new QuantizationFormat(bits, groupSize));
        using LinearWeight weight = matrix.Load(backend, null), other = matrix.Load(floats, null);
        float[] x = TestTensors.Random(1, 3 * inFeatures);
        TestTensors.AssertSameBits(Multiply(floats, other, x, 3), Multiply(backend, weight, x, 3), "the same kernel");
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void CreateQuantizedLinear_ByteLength_IsWhatWasPlanned(int vectorLength, int bits)
    {
        using var backend = Create(vectorLength);
        foreach (var (n, k, groupSize) in Shapes)
            foreach (bool isReordered in new[] { false, true })
            {
                var format = new QuantizationFormat(bits, groupSize);
                int[] order = isReordered ? [.. Enumerable.Range(0, k)] : [];
                using var weight = backend.CreateQuantizedLinear(n, k, format, hasBias: isReordered, order);
                Assert.AreEqual(backend.QuantizedLinearByteLength(n, k, format, isReordered, isReordered), weight.ByteLength);
            }
    }

    [TestMethod]
    public void OutputQuantization_QuantizedModel_IsOf8BitsWhereActivationsAre()
    {
        using CpuBackend backend = new(1, CpuActivations.Int8), floats = new(1);
        var model = new ModelShape(64, 128, new AttentionShape(1, 1, 64, 0, 1), ElementType.F32, new QuantizationFormat(4, 32));
        Assert.AreEqual(new QuantizationFormat(8, 64), backend.OutputQuantization(model));
        Assert.AreEqual(new QuantizationFormat(8, 128), backend.OutputQuantization(model with { HiddenSize = 768 }));
        Assert.IsNull(backend.OutputQuantization(model with { Quantization = null }));
        Assert.IsNull(backend.OutputQuantization(model with { HiddenSize = 48 }));
        Assert.IsNull(floats.OutputQuantization(model));
    }

    /// <summary>The largest magnitude of 32 inputs is 127 steps.</summary>
    private static float[] Round(float[] x, int inFeatures)
    {
        var rounded = new float[x.Length];
        for (int row = 0; row < x.Length; row += inFeatures)
            for (int first = 0; first < inFeatures; first += 32)
            {
                int count = Math.Min(32, inFeatures - first);
                var source = x.AsSpan(row + first, count);
                float most = 0;
                foreach (float v in source)
                    most = Math.Max(most, Math.Abs(v));
                for (int k = 0; k < count; k++)
                    rounded[row + first + k] = MathF.Round(source[k] * (127 / most)) * (most / 127);
            }
        return rounded;
    }

    private static CpuBackend Create(int vectorLength) => new(2, CpuKernels.WidestFirst.First(kernels => kernels.VectorLength == vectorLength), CpuActivations.Int8);

    private static float[] Multiply(Backend backend, LinearWeight weight, float[] x, int rows)
    {
        using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, (long)rows * weight.OutFeatures);
        backend.Linear(weight, input, output, rows);
        return backend.Download(output);
    }
}
