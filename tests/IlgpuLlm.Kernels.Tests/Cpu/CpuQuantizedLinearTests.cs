using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>Quantized products in every vector width, single floats included, against products of the dequantised weights in double precision.</summary>
[TestClass]
public sealed class CpuQuantizedLinearTests
{
    private static readonly int[] RowCounts = [1, 2, 3, 5, 8, 12, 13, 33, 130];

    // Less than a panel, around panels, more than one block over K, groups across blocks, odd rows.
    private static readonly (int Out, int In, int GroupSize)[] Shapes =
    [
        (1, 1, -1), (3, 7, -1), (16, 32, 32), (31, 33, -1), (33, 64, 32), (48, 192, 64), (65, 257, -1), (100, 256, 128), (70, 600, 100), (130, 640, 128), (64, 288, 2),
    ];

    public static IEnumerable<object[]> Widths =>
        from kernels in CpuKernels.WidestFirst from bits in new[] { 4, 8 } select new object[] { kernels.VectorLength, bits };

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_OddShapes_MatchesReferenceAndAnyNumberOfRows(int vectorLength, int bits)
    {
        using var backend = Create(vectorLength);
        foreach (var (n, k, groupSize) in Shapes)
        {
            var matrix = new QuantizedMatrix(n, k, new QuantizationFormat(bits, groupSize));
            float[] bias = TestTensors.Random(k, n);
            using var weight = matrix.Load(backend, bias);
            int most = RowCounts[^1];
            float[] x = TestTensors.Random(most, most * k), all = Multiply(backend, weight, x, most);
            TestTensors.AssertClose(ReferenceKernels.Linear(matrix.Values, bias, x, most, n, k), all, 5e-5 * matrix.Largest, 1e-6, $"[{n}, {k}] in groups of {groupSize}");
            foreach (int rows in RowCounts)
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * n), Multiply(backend, weight, x[((most - rows) * k)..], rows), $"{rows} rows of [{n}, {k}]");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_UnitVectors_AreTheDequantisedWeightsExactly(int vectorLength, int bits)
    {
        using var backend = Create(vectorLength);
        foreach (var (n, k, groupSize) in Shapes)
        {
            var matrix = new QuantizedMatrix(n, k, new QuantizationFormat(bits, groupSize));
            int[] order = [.. Enumerable.Range(0, k)];
            new Random(k).Shuffle(order);
            using LinearWeight inOrder = matrix.Load(backend, null), reordered = matrix.Load(backend, null, order);
            float[] unit = new float[k * k];
            for (int i = 0; i < k; i++)
                unit[i * k + i] = 1;
            float[] columns = Multiply(backend, inOrder, unit, k), moved = Multiply(backend, reordered, unit, k);
            for (int j = 0; j < k; j++)
                for (int r = 0; r < n; r++)
                {
                    Assert.AreEqual(matrix.Values[r * k + j], columns[j * n + r], $"[{r}, {j}] of [{n}, {k}]");
                    Assert.AreEqual(matrix.Values[r * k + j], moved[order[j] * n + r], $"stored input {j} is feature {order[j]}");
                }
            int last = k - 1;
            TestTensors.AssertSameBits(columns.AsSpan(last * n), Multiply(backend, inOrder, unit[(last * k)..], 1), "one row");
        }
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void LinearAddAndSiluMul_Quantized_MatchReference(int bits)
    {
        const int N = 48, K = 96, Rows = 5;
        using var backend = new CpuBackend(2);
        var format = new QuantizationFormat(bits, 32);
        var matrix = new QuantizedMatrix(2 * N, K, format);
        float[] x = TestTensors.Random(1, Rows * K, 1 / MathF.Sqrt(K) / matrix.Largest), residual = TestTensors.Random(2, Rows * 2 * N);
        using var weight = matrix.Load(backend, null);
        double[] product = ReferenceKernels.Linear(matrix.Values, null, x, Rows, 2 * N, K);
        using DeviceBuffer input = backend.Upload(x), sum = backend.Upload(residual), output = backend.Allocate(ElementType.F32, Rows * N);
        backend.LinearAdd(weight, input, sum, Rows);
        TestTensors.AssertClose([.. product.Zip(residual, (a, b) => a + b)], backend.Download(sum), 2e-5, 1e-6, "added");

        var model = new ModelShape(K, N, new AttentionShape(1, 1, 6, 0, 1), ElementType.F32, format);
        backend.ReserveWorkspace(new WorkspaceShape(model, Rows, Rows, 1));
        using var gateUp = backend.CreateQuantizedGateUp(model, format, hasBias: false, []);
        gateUp.LoadQuantizedRows(0, 2 * N, matrix.Rows(0, 2 * N));
        backend.LinearSiluMul(gateUp, input, output, Rows);
        TestTensors.AssertClose(ReferenceKernels.SiluMul([.. product.Select(v => (float)v)], Rows, N), backend.Download(output), 2e-5, 1e-5, "gate and up");
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void LoadQuantizedRows_PiecesFromThreads_SameAsAtOnce(int bits)
    {
        const int N = 117, K = 320;
        using var backend = new CpuBackend(3);
        var matrix = new QuantizedMatrix(N, K, new QuantizationFormat(bits, 64));
        using LinearWeight whole = matrix.Load(backend, null), pieces = backend.CreateQuantizedLinear(N, K, matrix.Format, hasBias: false, []);
        int[] cuts = [0, 1, 20, 53, 64, 101, N];
        Parallel.For(0, cuts.Length - 1, i => pieces.LoadQuantizedRows(cuts[i], cuts[i + 1] - cuts[i], matrix.Rows(cuts[i], cuts[i + 1])));
        float[] x = TestTensors.Random(3, 3 * K);
        TestTensors.AssertSameBits(Multiply(backend, whole, x, 3), Multiply(backend, pieces, x, 3), "pieces");
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void FillRandom_SameSeed_SameUniformValuesForAnyNumberOfThreads(int bits)
    {
        const int N = 70, K = 256;
        float[] Fill(ulong seed, int numThreads)
        {
            using var backend = new CpuBackend(numThreads);
            using var weight = backend.CreateQuantizedLinear(N, K, new QuantizationFormat(bits, 64), hasBias: true, []);
            weight.LoadBias(0, TestTensors.Random(1, N));
            weight.FillRandom(seed, 0.5f);
            TestTensors.AssertSameBits(new float[N], Multiply(backend, weight, new float[K], 1), "the bias");
            float[] unit = new float[K * K];
            for (int i = 0; i < K; i++)
                unit[i * K + i] = 1;
            return Multiply(backend, weight, unit, K);
        }
        float[] first = Fill(1, 1);
        TestTensors.AssertSameBits(first, Fill(1, 3), "the same seed");
        Assert.IsTrue(first.Zip(Fill(2, 1), (a, b) => a == b).Count(equal => equal) < N * K / 8, "another seed");
        Assert.IsTrue(first.All(v => Math.Abs(v) <= 0.5f), "range");
        Assert.AreEqual(1 << bits, first.Distinct().Count(), "all codes");
        Assert.AreEqual(1 / 12.0, first.Average(v => (double)v * v), 0.01, "variance of a uniform distribution of width 1");
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
                Assert.IsTrue(weight.ByteLength >= (long)n * k * bits / 8 + 3L * n * format.NumGroups(k));
            }
    }

    [TestMethod]
    public void CreateQuantizedLinear_BadArguments_AreNamed()
    {
        using var backend = new CpuBackend(1);
        var format = new QuantizationFormat(4, 32);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => backend.CreateQuantizedLinear(8, 40, format, false, [])).Message, "groups of 32 do not divide rows of 40");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => backend.CreateQuantizedLinear(8, 64, format, false, new int[3])).Message, "names 3");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => backend.CreateQuantizedLinear(1, 2, new(4, -1), false, [0, 2])).Message, "names input 2");
        StringAssert.Contains(Assert.ThrowsExactly<NotSupportedException>(() => backend.CreateQuantizedLinear(8, 9, new(4, 3), false, [])).Message, "groups of 3");
        using var weight = backend.CreateQuantizedLinear(8, 64, format, false, []);
        Assert.ThrowsExactly<InvalidOperationException>(() => weight.LoadRows(0, 1, ElementType.F32, new byte[256]));
        Assert.ThrowsExactly<ArgumentException>(() => weight.LoadQuantizedRows(0, 1, new QuantizedRows(new byte[63], new Half[2], new byte[2])));
        using DeviceBuffer ids = backend.Upload([0]), hidden = backend.Allocate(ElementType.F32, 64);
        Assert.ThrowsExactly<ArgumentException>(() => backend.EmbeddingLookup(weight, ids, hidden, 1));
    }

    private static CpuBackend Create(int vectorLength) => new(2, CpuKernels.WidestFirst.First(kernels => kernels.VectorLength == vectorLength));

    private static float[] Multiply(Backend backend, LinearWeight weight, float[] x, int rows)
    {
        using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, (long)rows * weight.OutFeatures);
        backend.Linear(weight, input, output, rows);
        return backend.Download(output);
    }
}
