namespace IlgpuLlm.Kernels.Tests.Reference;

public abstract partial class BackendContractTests
{
    [TestMethod]
    [DataRow(ElementType.F32, false)]
    [DataRow(ElementType.F32, true)]
    [DataRow(ElementType.F16, false)]
    [DataRow(ElementType.F16, true)]
    public void Linear_OddShapes_MatchesReference(ElementType storage, bool hasBias)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k));
            float[]? bias = hasBias ? TestTensors.Random(k, n) : null;
            using LinearWeight weight = backend.CreateLinear(w, bias, n, k, storage);
            foreach (int rows in RowCounts)
            {
                float[] x = TestTensors.Random(rows, rows * k);
                float[] y = RunLinear(backend, weight, x, rows);
                TestTensors.AssertClose(ReferenceKernels.Linear(w, bias, x, rows, n, k), y, Tolerance, 1e-6, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void Linear_AnyNumberOfRows_SameBits(ElementType storage)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            using LinearWeight weight = backend.CreateLinear(TestTensors.Random(n, n * k), TestTensors.Random(k, n), n, k, storage);
            int most = RowCounts[^1];
            float[] x = TestTensors.Random(most, most * k);
            float[] all = RunLinear(backend, weight, x, most);
            foreach (int rows in RowCounts.Where(r => r > 1 || !OneRowDiffers(storage, k)))
            {
                // The last rows, so that a row's place in the tile differs too.
                float[] some = RunLinear(backend, weight, x[((most - rows) * k)..], rows);
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * n), some, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void RmsNormLinear_OddShapes_MatchesBothSteps(ElementType storage)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k)), bias = TestTensors.Random(k, n), norm = TestTensors.Random(k + 1, k);
            using LinearWeight weight = backend.CreateLinear(w, bias, n, k, storage);
            foreach (int rows in RowCounts)
            {
                float[] x = TestTensors.Random(rows, rows * k);
                float[] normed = [.. ReferenceKernels.RmsNorm([.. x], norm, rows, 1e-5f).Select(v => (float)v)];
                using DeviceBuffer input = backend.Upload(x), normWeight = backend.Upload(norm);
                using DeviceBuffer between = backend.Allocate(ElementType.F32, rows * k), output = backend.Allocate(ElementType.F32, rows * n);
                backend.RmsNormLinear(input, normWeight, 1e-5f, between, weight, output, rows);
                TestTensors.AssertClose(ReferenceKernels.Linear(w, bias, normed, rows, n, k), backend.Download(output), 2 * Tolerance, 2e-6, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void LinearAdd_OddShapes_AddsTheProduct(ElementType storage)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k)), bias = TestTensors.Random(k, n);
            using LinearWeight weight = backend.CreateLinear(w, bias, n, k, storage);
            foreach (int rows in RowCounts)
            {
                float[] x = TestTensors.Random(rows, rows * k), r = TestTensors.Random(n + 1, rows * n);
                using DeviceBuffer input = backend.Upload(x), residual = backend.Upload(r);
                backend.LinearAdd(weight, input, residual, rows);
                double[] expected = [.. ReferenceKernels.Linear(w, bias, x, rows, n, k).Zip(r, (a, b) => a + b)];
                TestTensors.AssertClose(expected, backend.Download(residual), Tolerance, 1e-6, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void LinearSiluMul_OddShapes_MatchesReferenceAndAnyNumberOfRows(ElementType storage)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, 2 * n * k)), bias = TestTensors.Random(k, 2 * n);
            int most = RowCounts[^1];
            var model = new ModelShape(k, n, new AttentionShape(1, 1, 6, 0, 1), storage); // heads that no fast kernel takes: floats throughout
            backend.ReserveWorkspace(new WorkspaceShape(model, most, most, 1));
            using LinearWeight weight = backend.CreateGateUp(model, hasBias: true);
            weight.LoadRows(0, n, ElementType.F32, TestTensors.Encode(ElementType.F32, w[..(n * k)]));
            weight.LoadRows(n, n, ElementType.F32, TestTensors.Encode(ElementType.F32, w[(n * k)..]));
            weight.LoadBias(0, bias);
            float[] x = TestTensors.Random(most, most * k, 1 / MathF.Sqrt(k)); // gates and ups about 1: an error of one is not multiplied by the other
            float[] all = Run(x, most);
            double[] gateUp = ReferenceKernels.Linear(w, bias, x, most, 2 * n, k);
            TestTensors.AssertClose(ReferenceKernels.SiluMul([.. gateUp.Select(v => (float)v)], most, n), all, 4 * Tolerance, 2e-5, $"[2 x {n}, {k}]");
            foreach (int rows in RowCounts.Where(r => r > 1 || !OneRowDiffers(storage, k)))
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * n), Run(x[((most - rows) * k)..], rows), $"{rows} rows of [2 x {n}, {k}]");

            float[] Run(float[] values, int rows)
            {
                using DeviceBuffer input = backend.Upload(values), output = backend.Allocate(ElementType.F32, rows * n);
                backend.LinearSiluMul(weight, input, output, rows);
                return backend.Download(output);
            }
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void LoadRows_PiecesFromThreads_SameAsAtOnce(ElementType storage)
    {
        using Backend backend = CreateBackend();
        const int N = 117, K = 45;
        float[] w = TestTensors.Random(1, N * K), bias = TestTensors.Random(2, N), x = TestTensors.Random(3, 3 * K);
        using LinearWeight whole = backend.CreateLinear(w, bias, N, K, storage);
        using LinearWeight pieces = backend.CreateLinear(N, K, storage, hasBias: true);
        int[] cuts = [0, 1, 20, 53, 64, 101, N];
        Parallel.For(0, cuts.Length - 1, i =>
        {
            pieces.LoadRows(cuts[i], cuts[i + 1] - cuts[i], ElementType.F32, TestTensors.Encode(ElementType.F32, w[(cuts[i] * K)..(cuts[i + 1] * K)]));
            pieces.LoadBias(cuts[i], bias.AsSpan(cuts[i]..cuts[i + 1]));
        });
        TestTensors.AssertSameBits(RunLinear(backend, whole, x, 3), RunLinear(backend, pieces, x, 3), "pieces");
    }

    [TestMethod]
    public void LoadRows_AllFormats_RoundsToNearestEven()
    {
        using Backend backend = CreateBackend();
        // Ties both ways, subnormals of F16 down to its smallest, the halfway cases around it, and what lies beyond 65504.
        float[] values = [
            0f, -0f, 1f, -1f, 1 + 1 / 2048f, 1 + 3 / 2048f, 1.0001f, 65504f, 65519.9f, 65520f, 1e30f, -1e30f, float.PositiveInfinity, float.NegativeInfinity,
            6.1035156e-5f, 6.0975552e-5f, 5.9604645e-8f, 2.9802322e-8f, 2.98023259e-8f, 8.940697e-8f, 1e-10f, -5.9604645e-8f, -1e-45f, 0.333333333f, 3.14159274f];
        Check(ElementType.F32, ElementType.F32, values, values);
        Check(ElementType.F32, ElementType.F16, values, TestTensors.RoundTo(ElementType.F16, values));
        float[] halves = TestTensors.RoundTo(ElementType.F16, values);
        Check(ElementType.F16, ElementType.F16, halves, halves);
        Check(ElementType.F16, ElementType.F32, halves, halves);
        float[] brains = [.. values.Select(v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xFFFF0000))];
        Check(ElementType.BF16, ElementType.F32, brains, brains);
        Check(ElementType.BF16, ElementType.F16, brains, TestTensors.RoundTo(ElementType.F16, brains));

        void Check(ElementType source, ElementType storage, float[] input, float[] expected)
        {
            using LinearWeight weight = backend.CreateLinear(1, input.Length, storage, hasBias: false);
            weight.LoadRows(0, 1, source, TestTensors.Encode(source, input));
            TestTensors.AssertSameBits(expected, Lookup(backend, weight, [0]), $"{source} stored as {storage}");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void Linear_EveryHalf_IsWidenedExactly(ElementType storage)
    {
        using Backend backend = CreateBackend();
        // All 2^16 half bit patterns but NaN, read by the kernels as a one-column product with 1.
        float[] halves = [.. Enumerable.Range(0, 65536).Select(i => (float)BitConverter.UInt16BitsToHalf((ushort)i)).Where(v => !float.IsNaN(v))];
        if (SmallInputs)
            halves = [.. halves.Where((_, i) => i % 61 == 0)];
        using LinearWeight weight = backend.CreateLinear(halves, null, halves.Length, 1, storage);
        float[] expected = [.. halves.Select(h => h + 0f)];
        foreach (int rows in new[] { 1, 3, 13 })
        {
            float[] y = RunLinear(backend, weight, [.. Enumerable.Repeat(1f, rows)], rows);
            TestTensors.AssertSameBits(expected, y.AsSpan((rows - 1) * halves.Length), $"{rows} rows");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void EmbeddingLookup_TiedWeight_ReturnsItsRows(ElementType storage)
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k));
            using LinearWeight weight = backend.CreateLinear(w, null, n, k, storage);
            int[] ids = [n - 1, 0, n / 2, n - 1, n / 3];
            float[] expected = [.. ids.SelectMany(id => w.Skip(id * k).Take(k))];
            TestTensors.AssertSameBits(expected, Lookup(backend, weight, ids), $"[{n}, {k}]");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void FillRandom_SameSeed_SameUniformValues(ElementType storage)
    {
        using Backend backend = CreateBackend();
        const int N = 70, K = 130;
        int[] ids = [.. Enumerable.Range(0, N)];
        float[] Fill(ulong seed)
        {
            using LinearWeight weight = backend.CreateLinear(N, K, storage, hasBias: true);
            weight.LoadBias(0, TestTensors.Random(1, N));
            weight.FillRandom(seed, 0.5f);
            TestTensors.AssertSameBits(new float[N], RunLinear(backend, weight, new float[K], 1), "the bias");
            return Lookup(backend, weight, ids);
        }
        float[] first = Fill(1);
        TestTensors.AssertSameBits(first, Fill(1), "the same seed");
        Assert.IsTrue(first.Zip(Fill(2), (a, b) => a == b).Count(equal => equal) < N * K / 20, "another seed");
        Assert.IsTrue(first.All(v => Math.Abs(v) <= 0.5f), "range");
        Assert.IsTrue(first.Distinct().Count() > N * K / 4, "distinct");
        Assert.AreEqual(0, first.Average(), 0.02, "mean");
        Assert.AreEqual(1 / 12.0, first.Average(v => (double)v * v), 0.01, "variance of a uniform distribution of width 1");
    }

    [TestMethod]
    public void CreateLinear_ByteLength_IsWhatWasPlanned()
    {
        using Backend backend = CreateBackend();
        foreach ((int n, int k) in LinearShapes)
            foreach (ElementType storage in new[] { ElementType.F32, ElementType.F16 })
                foreach (bool hasBias in new[] { false, true })
                {
                    using LinearWeight weight = backend.CreateLinear(n, k, storage, hasBias);
                    Assert.AreEqual(backend.LinearByteLength(n, k, storage, hasBias), weight.ByteLength);
                    Assert.IsTrue(weight.ByteLength >= (long)n * k * storage.SizeInBytes() + (hasBias ? 4 * n : 0));
                }
    }

    private static float[] RunLinear(Backend backend, LinearWeight weight, float[] x, int rows)
    {
        using DeviceBuffer input = backend.Upload(x);
        using DeviceBuffer output = backend.Allocate(ElementType.F32, (long)rows * weight.OutFeatures);
        backend.Linear(weight, input, output, rows);
        return backend.Download(output);
    }

    private static float[] Lookup(Backend backend, LinearWeight table, int[] ids)
    {
        using DeviceBuffer tokenIds = backend.Upload(ids);
        using DeviceBuffer hidden = backend.Allocate(ElementType.F32, (long)ids.Length * table.InFeatures);
        backend.EmbeddingLookup(table, tokenIds, hidden, ids.Length);
        return backend.Download(hidden);
    }
}
