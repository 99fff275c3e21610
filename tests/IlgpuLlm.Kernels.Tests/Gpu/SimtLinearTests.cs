using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Products of floats against the double-precision reference. On CUDA; where there is none, small cases on ILGPU's CPU accelerator, which runs the
/// kernels' own code with their instructions emulated.
/// </summary>
[TestClass]
[DoNotParallelize] // the emulation of instructions has one memory
public sealed class SimtLinearTests
{
    private const int MaxRows = 400;
    private const double Tolerance = 4e-5;

    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257, 385];

    [TestMethod]
    [DataRow(1, 4)]
    [DataRow(31, 60)]
    [DataRow(129, 64)]
    [DataRow(200, 132)]
    [DataRow(300, 700)]
    public void Linear_Floats_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = Cuda();
        Data data = new(outFeatures, inFeatures);
        using LinearWeight weight = backend.CreateLinear(data.Weight, data.Bias, outFeatures, inFeatures, ElementType.F32);
        double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, outFeatures, inFeatures);
        Check(backend, data, outFeatures, expected, (x, y, rows) => backend.Linear(weight, x, y, rows));
    }

    [TestMethod]
    [DataRow(31, 60)]
    [DataRow(129, 64)]
    [DataRow(300, 700)]
    public void LinearAdd_Floats_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = Cuda();
        Data data = new(outFeatures, inFeatures);
        using LinearWeight weight = backend.CreateLinear(data.Weight, data.Bias, outFeatures, inFeatures, ElementType.F32);
        float[] residual = TestTensors.Random(9, MaxRows * outFeatures);
        double[] expected = [.. ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, outFeatures, inFeatures).Zip(residual, (a, b) => a + b)];
        Check(backend, data, outFeatures, expected, (x, y, rows) =>
        {
            backend.Upload(residual, y);
            backend.LinearAdd(weight, x, y, rows);
        });
    }

    [TestMethod]
    [DataRow(16, 60)]
    [DataRow(136, 64)]
    [DataRow(344, 700)]
    public void LinearSiluMul_Floats_MatchesTheReferenceAndNotTheBatch(int intermediate, int hidden)
    {
        using GpuBackend backend = Cuda();
        var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), ElementType.F32);
        Data data = new(2 * intermediate, hidden);
        using LinearWeight weight = backend.CreateGateUp(model, hasBias: true);
        int half = intermediate * hidden;
        weight.LoadRows(0, intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight[..half]));
        weight.LoadRows(intermediate, intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight[half..]));
        weight.LoadBias(0, data.Bias);
        double[] gateUp = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, 2 * intermediate, hidden);
        double[] expected = ReferenceKernels.SiluMul([.. gateUp.Select(v => (float)v)], MaxRows, intermediate);
        Check(backend, data, intermediate, expected, (x, y, rows) => backend.LinearSiluMul(weight, x, y, rows));
    }

    [TestMethod]
    [DataRow(64, 64, false)]
    [DataRow(200, 352, false)]
    [DataRow(1040, 1088, false)]
    [DataRow(64, 64, true)]
    [DataRow(1040, 1088, true)]
    public void Linear_Tf32_MatchesTheReference(int outFeatures, int inFeatures, bool usesMmaSync)
    {
        using GpuBackend backend = Cuda(allowTf32: true);
        if (!backend.MultipliesTf32)
            Assert.Inconclusive("skipped: needs a device of sm_80 or later");
        Data data = new(outFeatures, inFeatures);
        using var weight = (GpuLinearWeight)backend.CreateLinear(data.Weight, data.Bias, outFeatures, inFeatures, ElementType.F32);
        double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, MaxRows, outFeatures, inFeatures);
        float[] residual = TestTensors.Random(9, MaxRows * outFeatures);
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Allocate(ElementType.F32, (long)MaxRows * outFeatures);
        var mma = usesMmaSync ? new MmaLinearKernel(weight.Matrix.Device, isTf32: true) : null;
        // Operands lose up to 2^-10 of their size each, so a sum of n products of values in [-1, 1] some 2^-10 sqrt(n).
        double tolerance = 2e-3 * Math.Sqrt(inFeatures);
        foreach (int rows in RowCounts[1..])
        {
            if (mma is null)
                backend.Linear(weight, input, output, rows);
            else
                mma.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Floats);
            TestTensors.AssertClose(expected.AsSpan(0, rows * outFeatures), backend.Download(output).AsSpan(0, rows * outFeatures), tolerance, 0, $"{rows} rows");
            backend.Upload(residual, output);
            if (mma is null)
                backend.LinearAdd(weight, input, output, rows);
            else
                mma.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Residual);
            double[] sums = [.. expected.Take(rows * outFeatures).Zip(residual, (a, b) => a + b)];
            TestTensors.AssertClose(sums, backend.Download(output).AsSpan(0, sums.Length), tolerance, 0, $"{rows} rows added");
        }
    }

    [TestMethod]
    public void Launch_EmulatedTf32_MatchesReference()
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        const int OutFeatures = 39, InFeatures = 64, Rows = 5;
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 256);
        Data data = new(OutFeatures, InFeatures);
        using var weight = (GpuLinearWeight)backend.CreateLinear(data.Weight, data.Bias, OutFeatures, InFeatures, ElementType.F32);
        using DeviceBuffer input = backend.Upload(data.X[..(Rows * InFeatures)]), output = backend.Upload(new float[Rows * OutFeatures]);
        new MmaLinearKernel(weight.Matrix.Device, isTf32: true).Launch(weight, (GpuBuffer)input, (GpuBuffer)output, Rows, LinearEpilogue.Floats);
        double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, Rows, OutFeatures, InFeatures);
        float[] actual = backend.Download(output);
        TestTensors.AssertClose(expected, actual, 8e-3, 0, "TF32");
        Assert.IsGreaterThan(1e-5, expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max(), "rounds");
    }

    [TestMethod]
    [DataRow(3)]
    [DataRow(10)]
    [DataRow(20)]
    [DataRow(40)]
    [DataRow(257)]
    public void Launch_Emulated_MatchesReference(int rows)
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        const int OutFeatures = 39, InFeatures = 84;
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 512);
        Data data = new(OutFeatures, InFeatures);
        using var weight = (GpuLinearWeight)backend.CreateLinear(data.Weight, data.Bias, OutFeatures, InFeatures, ElementType.F32);
        using DeviceBuffer input = backend.Upload(data.X[..(rows * InFeatures)]), output = backend.Upload(new float[rows * OutFeatures]);
        var kernel = new SimtLinearKernel(weight.Matrix.Device);
        kernel.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Floats);
        double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, rows, OutFeatures, InFeatures);
        TestTensors.AssertClose(expected, backend.Download(output), Tolerance, 1e-6, $"{rows} rows");
        kernel.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Residual);
        TestTensors.AssertClose([.. expected.Select(v => 2 * v)], backend.Download(output), 2 * Tolerance, 1e-6, $"{rows} rows added");
    }

    [TestMethod]
    public void Launch_EmulatedGateUp_MatchesReference()
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        const int Intermediate = 24, Hidden = 20, Rows = 5;
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 512);
        Data data = new(2 * Intermediate, Hidden);
        using DeviceBuffer input = backend.Upload(data.X[..(Rows * Hidden)]), output = backend.Upload(new float[Rows * Intermediate]);
        GpuDevice device = ((GpuBuffer)input).Device;
        using var weight = new GpuLinearWeight(device, new FillRandomKernel(device), 2 * Intermediate, Hidden, ElementType.F32, hasBias: true, GpuLinearWeight.GateUpBlock);
        weight.LoadRows(0, 2 * Intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight));
        weight.LoadBias(0, data.Bias);
        new SimtLinearKernel(device).Launch(weight, (GpuBuffer)input, (GpuBuffer)output, Rows, LinearEpilogue.GateUp);
        double[] gateUp = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, Rows, 2 * Intermediate, Hidden);
        double[] expected = ReferenceKernels.SiluMul([.. gateUp.Select(v => (float)v)], Rows, Intermediate);
        TestTensors.AssertClose(expected, backend.Download(output), Tolerance, 1e-5, "silu(gate) * up");
    }

    private static GpuBackend Cuda(bool allowTf32 = false)
    {
        GpuBackend backend = TestDevice.Create(allowTf32);
        if (!backend.IsHostMemory)
            return backend;
        backend.Dispose();
        Assert.Inconclusive("skipped: needs a CUDA device");
        return backend;
    }

    /// <summary>Runs every number of rows: all within the tolerance, and the same bits from 2 to 256 rows and above.</summary>
    private static void Check(GpuBackend backend, Data data, int width, double[] expected, Action<DeviceBuffer, DeviceBuffer, int> run)
    {
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Allocate(ElementType.F32, (long)MaxRows * width);
        float[] many = Run(MaxRows), some = Run(SimtLinearKernel.MaxSharedOutRows);
        foreach (int rows in RowCounts)
        {
            float[] result = Run(rows);
            if (rows > 1)
                TestTensors.AssertSameBits((rows > SimtLinearKernel.MaxSharedOutRows ? many : some).AsSpan(0, rows * width), result, $"{rows} rows");
        }

        float[] Run(int rows)
        {
            run(input, output, rows);
            float[] result = backend.Download(output)[..(rows * width)];
            TestTensors.AssertClose(expected.AsSpan(0, rows * width), result, Tolerance, 2e-5, $"{rows} rows");
            return result;
        }
    }

    private sealed class Data(int outFeatures, int inFeatures)
    {
        public float[] Weight { get; } = TestTensors.Random(1, outFeatures * inFeatures);

        public float[] Bias { get; } = TestTensors.Random(2, outFeatures);

        public float[] X { get; } = TestTensors.Random(3, MaxRows * inFeatures);
    }
}
