using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Products of halves with halves on a CUDA device, one row to many, against the double-precision reference.</summary>
[TestClass]
public sealed class HalfLinearTests
{
    private const int MaxRows = 130, MaxStreamedRows = 128;

    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129];

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 320)]
    [DataRow(1000, 704)]
    public void Linear_Halves_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = CreateCuda();
        Data data = new(outFeatures, inFeatures);
        using LinearWeight weight = backend.CreateLinear(data.Weight, data.Bias, outFeatures, inFeatures, ElementType.F16);
        double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, outFeatures, inFeatures);
        Check(backend, data, outFeatures, ElementType.F32, expected, 2e-4, (x, y, rows) => backend.Linear(weight, x, y, rows));
        Check(backend, data, outFeatures, ElementType.F16, expected, 2e-2, (x, y, rows) => backend.Linear(weight, x, y, rows));
    }

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 704)]
    public void LinearAdd_Halves_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = CreateCuda();
        Data data = new(outFeatures, inFeatures);
        using LinearWeight weight = backend.CreateLinear(data.Weight, data.Bias, outFeatures, inFeatures, ElementType.F16);
        float[] residual = TestTensors.Random(9, MaxRows * outFeatures);
        double[] expected = [.. ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, outFeatures, inFeatures).Zip(residual, (a, b) => a + b)];
        Check(backend, data, outFeatures, ElementType.F32, expected, 2e-4, (x, y, rows) =>
        {
            backend.Upload(residual, y);
            backend.LinearAdd(weight, x, y, rows);
        });
    }

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(192, 128)]
    [DataRow(704, 320)]
    public void LinearSiluMul_Halves_MatchesTheReferenceAndNotTheBatch(int intermediate, int hidden)
    {
        using GpuBackend backend = CreateCuda();
        var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), ElementType.F16);
        if (backend.ActivationType(model) != ElementType.F16)
            Assert.Inconclusive("skipped: the device has no fast kernels for halves");
        Data data = new(2 * intermediate, hidden);
        using LinearWeight weight = backend.CreateGateUp(model, hasBias: true);
        int half = intermediate * hidden;
        weight.LoadRows(0, intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight[..half]));
        weight.LoadRows(intermediate, intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight[half..]));
        weight.LoadBias(0, data.Bias);
        double[] gateUp = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, 2 * intermediate, hidden);
        double[] expected = ReferenceKernels.SiluMul([.. gateUp.Select(v => (float)v)], MaxRows, intermediate);
        Check(backend, data, intermediate, ElementType.F16, expected, 2e-2, (x, y, rows) => backend.LinearSiluMul(weight, x, y, rows));
    }

    private static GpuBackend CreateCuda()
    {
        GpuBackend backend = TestDevice.Create();
        if (!backend.IsHostMemory)
            return backend;
        backend.Dispose();
        Assert.Inconclusive("skipped: tensor cores need a CUDA device");
        return backend;
    }

    /// <summary>Runs every number of rows: all within the tolerance, and the same bits from 2 to 128 rows and above.</summary>
    private static void Check(
        GpuBackend backend, Data data, int width, ElementType type, double[] expected, double tolerance, Action<DeviceBuffer, DeviceBuffer, int> run)
    {
        using DeviceBuffer input = backend.Allocate(ElementType.F16, data.X.Length), output = backend.Allocate(type, (long)MaxRows * width);
        backend.Upload([.. data.X.Select(v => (Half)v)], input);
        run(input, output, MaxRows);
        float[] all = Download();
        TestTensors.AssertClose(expected, all, tolerance, 1e-3, $"{type}, {MaxRows} rows");
        run(input, output, MaxStreamedRows);
        float[] streamed = Download();
        foreach (int rows in RowCounts)
        {
            run(input, output, rows);
            float[] some = Download()[..(rows * width)];
            TestTensors.AssertClose(expected[..(rows * width)], some, tolerance, 1e-3, $"{type}, {rows} rows");
            if (rows > 1)
                TestTensors.AssertSameBits((rows > MaxStreamedRows ? all : streamed)[..(rows * width)], some, $"{type}, {rows} rows");
        }

        float[] Download()
        {
            if (type == ElementType.F32)
                return backend.Download(output);
            var halves = new Half[output.Length];
            backend.Download(output, halves);
            return [.. halves.Select(h => (float)h)];
        }
    }

    private sealed class Data(int outFeatures, int inFeatures)
    {
        public float[] Weight { get; } = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(1, outFeatures * inFeatures));

        public float[] Bias { get; } = TestTensors.Random(2, outFeatures);

        public float[] X { get; } = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(3, MaxRows * inFeatures));
    }
}
