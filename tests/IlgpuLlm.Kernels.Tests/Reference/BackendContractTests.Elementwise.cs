namespace IlgpuLlm.Kernels.Tests.Reference;

public abstract partial class BackendContractTests
{
    [TestMethod]
    public void Copy_PartOfABuffer_CopiesItAlone()
    {
        using Backend backend = CreateBackend();
        foreach (int length in new[] { 0, 1, 7, 70_001 })
        {
            float[] from = TestTensors.Random(length, length), to = TestTensors.Random(length + 1, length + 3);
            using DeviceBuffer source = backend.Upload(from), destination = backend.Upload(to);
            backend.Copy(source, destination);
            TestTensors.AssertSameBits([.. from, .. to[length..]], backend.Download(destination), $"{length} elements");
        }
    }

    [TestMethod]
    public void RmsNorm_OddWidths_MatchesReferenceAndAnyNumberOfRows()
    {
        using Backend backend = CreateBackend();
        foreach (int width in Widths)
        {
            int most = RowCounts[^1];
            float[] x = TestTensors.Random(width, most * width, 3), w = TestTensors.Random(width + 1, width);
            float[] all = RunRmsNorm(backend, x, w, most, 1e-5f);
            TestTensors.AssertClose(ReferenceKernels.RmsNorm([.. x], w, most, 1e-5f), all, 1e-6, 1e-6, $"width {width}");
            foreach (int rows in RowCounts)
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * width), RunRmsNorm(backend, x[((most - rows) * width)..], w, rows, 1e-5f), $"{rows} rows of {width}");
        }
    }

    [TestMethod]
    public void RmsNorm_SmallAndZeroRows_UsesEpsilon()
    {
        using Backend backend = CreateBackend();
        float[] x = [.. TestTensors.Random(1, 50, 1e-6f), .. new float[50]], w = TestTensors.Random(2, 50);
        foreach (float epsilon in new[] { 1e-5f, 1e-6f, 1e-12f })
            TestTensors.AssertClose(ReferenceKernels.RmsNorm([.. x], w, 2, epsilon), RunRmsNorm(backend, x, w, 2, epsilon), 1e-9, 1e-6, $"epsilon {epsilon}");
    }

    [TestMethod]
    public void SiluMul_OddWidths_MatchesReferenceAndAnyNumberOfRows()
    {
        using Backend backend = CreateBackend();
        foreach (int width in Widths)
        {
            int most = RowCounts[^1];
            float[] x = TestTensors.Random(width, most * 2 * width, 8);
            float[] all = RunSiluMul(backend, x, most, width);
            TestTensors.AssertClose(ReferenceKernels.SiluMul(x, most, width), all, 1e-7, 2e-6, $"width {width}");
            foreach (int rows in RowCounts)
                TestTensors.AssertSameBits(all.AsSpan((most - rows) * width), RunSiluMul(backend, x[((most - rows) * 2 * width)..], rows, width), $"{rows} rows of {width}");
        }
    }

    [TestMethod]
    public void SiluMul_ExtremeGates_SaturatesWithoutNaN()
    {
        using Backend backend = CreateBackend();
        float[] gates = [0, -0f, 1e-30f, -1e-30f, 20, -20, 87, -87, 88.5f, -88.5f, 100, -100, 1000, -1000, 1e30f, -1e30f, 3.4e38f];
        float[] x = [.. gates, .. Enumerable.Repeat(1f, gates.Length)];
        TestTensors.AssertClose(ReferenceKernels.SiluMul(x, 1, gates.Length), RunSiluMul(backend, x, 1, gates.Length), 1e-36, 2e-6, "extreme gates");
        Assert.IsTrue(float.IsNaN(RunSiluMul(backend, [float.NaN, 1], 1, 1)[0]), "NaN stays NaN");
    }

    [TestMethod]
    public void GatherRows_AnyOrder_CopiesRows()
    {
        using Backend backend = CreateBackend();
        foreach (int width in Widths)
        {
            float[] x = TestTensors.Random(width, 9 * width);
            int[] rows = [8, 0, 3, 3, 7];
            using DeviceBuffer source = backend.Upload(x), indices = backend.Upload(rows);
            using DeviceBuffer output = backend.Allocate(ElementType.F32, rows.Length * width);
            backend.GatherRows(source, indices, output, rows.Length, width);
            TestTensors.AssertSameBits(rows.SelectMany(r => x.Skip(r * width).Take(width)).ToArray(), backend.Download(output), $"width {width}");
        }
    }

    [TestMethod]
    public void Slice_OfSlice_SeesTheSameElements()
    {
        using Backend backend = CreateBackend();
        using DeviceBuffer buffer = backend.Upload(TestTensors.RandomExact(1, 100));
        DeviceBuffer inner = buffer.Slice(10, 50).Slice(5, 20);
        backend.Upload(Enumerable.Repeat(2f, 20).ToArray(), inner);
        inner.Dispose();
        float[] expected = TestTensors.RandomExact(1, 100);
        expected.AsSpan(15, 20).Fill(2f);
        TestTensors.AssertSameBits(expected, backend.Download(buffer), "after writing through a slice");
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => buffer.Slice(90, 11));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => buffer.Slice(-1, 5));
    }

    private static float[] RunRmsNorm(Backend backend, float[] x, float[] w, int rows, float epsilon)
    {
        using DeviceBuffer input = backend.Upload(x), weight = backend.Upload(w);
        using DeviceBuffer output = backend.Allocate(ElementType.F32, rows * w.Length);
        backend.RmsNorm(input, weight, output, rows, epsilon);
        return backend.Download(output);
    }

    private static float[] RunSiluMul(Backend backend, float[] x, int rows, int width)
    {
        using DeviceBuffer input = backend.Upload(x);
        using DeviceBuffer output = backend.Allocate(ElementType.F32, rows * width);
        backend.SiluMul(input, output, rows, width);
        return backend.Download(output);
    }
}
