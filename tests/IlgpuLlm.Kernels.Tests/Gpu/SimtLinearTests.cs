using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Products of floats against the double-precision reference. On CUDA; where there is none, small cases on ILGPU's CPU accelerator, which runs the
/// kernels' own code with their instructions emulated.
/// </summary>
[TestClass]
public sealed class SimtLinearTests
{
    private const int MaxRows = 400;
    private const double Tolerance = 4e-5;

    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 130, 255, 256, 257, MaxRows];

    [TestMethod]
    [DataRow(1, 4)]
    [DataRow(31, 60)]
    [DataRow(129, 64)]
    [DataRow(200, 132)]
    [DataRow(300, 700)]
    public void Linear_Floats_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinear(outFeatures, inFeatures, ElementType.F32, Tolerance);
    }

    [TestMethod]
    [DataRow(31, 60)]
    [DataRow(129, 64)]
    [DataRow(300, 700)]
    public void LinearAdd_Floats_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinearAdd(outFeatures, inFeatures, Tolerance);
    }

    [TestMethod]
    [DataRow(16, 60)]
    [DataRow(136, 64)]
    [DataRow(344, 700)]
    public void LinearSiluMul_Floats_MatchesTheReferenceAndNotTheBatch(int intermediate, int hidden)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinearSiluMul(intermediate, hidden, 1e-5);
    }

    [TestMethod]
    [DataRow(64, 64, false)]
    [DataRow(200, 352, false)]
    [DataRow(1040, 1088, false)]
    [DataRow(64, 64, true)]
    [DataRow(1040, 1088, true)]
    public void Linear_Tf32_MatchesTheReference(int outFeatures, int inFeatures, bool usesMmaSync)
    {
        using var cuda = TestDevice.RentCuda(allowTf32: true);
        GpuBackend backend = cuda.Backend;
        if (!backend.MultipliesTf32)
            Assert.Inconclusive("skipped: needs a device of sm_80 or later");
        ProductData data = new(ElementType.F32, outFeatures, inFeatures, MaxRows);
        using var weight = (GpuLinearWeight)data.Load(backend, ElementType.F32);
        double[] products = data.Products, sums = data.Sums;
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Allocate(ElementType.F32, (long)MaxRows * outFeatures);
        var mma = usesMmaSync ? new MmaLinearKernel(cuda.Device, isTf32: true) : null;
        // Operands lose up to 2^-10 of their size each, so a sum of n products of values in [-1, 1] some 2^-10 sqrt(n).
        double tolerance = 2e-3 * Math.Sqrt(inFeatures);
        foreach (int rows in RowCounts[1..])
        {
            int length = rows * outFeatures;
            if (mma is null)
                backend.Linear(weight, input, output, rows);
            else
                mma.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Floats);
            TestTensors.AssertClose(products.AsSpan(0, length), backend.Download(output).AsSpan(0, length), tolerance, 0, $"{rows} rows");
            backend.Upload(data.Residual, output);
            if (mma is null)
                backend.LinearAdd(weight, input, output, rows);
            else
                mma.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Residual);
            TestTensors.AssertClose(sums.AsSpan(0, length), backend.Download(output).AsSpan(0, length), tolerance, 0, $"{rows} rows added");
        }
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    public void Launch_EmulatedTf32_MatchesReference()
    {
        const int OutFeatures = 39, InFeatures = 64, Rows = 5;
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 256);
        ProductData data = new(ElementType.F32, OutFeatures, InFeatures, Rows);
        using var weight = (GpuLinearWeight)data.Load(backend, ElementType.F32);
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Upload(new float[Rows * OutFeatures]);
        new MmaLinearKernel(weight.Matrix.Device, isTf32: true).Launch(weight, (GpuBuffer)input, (GpuBuffer)output, Rows, LinearEpilogue.Floats);
        float[] actual = backend.Download(output);
        TestTensors.AssertClose(data.Products, actual, 8e-3, 0, "TF32");
        Assert.IsGreaterThan(1e-5, data.Products.Zip(actual, (e, a) => Math.Abs(e - a)).Max(), "rounds");
    }

    [TestMethod]
    [DoNotParallelize]
    [DataRow(3)]
    [DataRow(10)]
    [DataRow(20)]
    [DataRow(40)]
    [DataRow(257)]
    public void Launch_Emulated_MatchesReference(int rows)
    {
        const int OutFeatures = 39, InFeatures = 84;
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 512);
        ProductData data = new(ElementType.F32, OutFeatures, InFeatures, rows);
        using var weight = (GpuLinearWeight)data.Load(backend, ElementType.F32);
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Upload(new float[rows * OutFeatures]);
        var kernel = new SimtLinearKernel(weight.Matrix.Device);
        kernel.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Floats);
        TestTensors.AssertClose(data.Products, backend.Download(output), Tolerance, 1e-6, $"{rows} rows");
        kernel.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Residual);
        TestTensors.AssertClose([.. data.Products.Select(v => 2 * v)], backend.Download(output), 2 * Tolerance, 1e-6, $"{rows} rows added");
    }

    [TestMethod]
    [DoNotParallelize]
    public void Launch_EmulatedGateUp_MatchesReference()
    {
        const int Intermediate = 24, Hidden = 20, Rows = 5;
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 512);
        ProductData data = new(ElementType.F32, 2 * Intermediate, Hidden, Rows);
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Upload(new float[Rows * Intermediate]);
        GpuDevice device = ((GpuBuffer)input).Device;
        using var weight = new GpuLinearWeight(device, new FillRandomKernel(device), 2 * Intermediate, Hidden, ElementType.F32, hasBias: true, GpuWeight.GateUpBlock);
        weight.LoadRows(0, 2 * Intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, data.Weight));
        weight.LoadBias(0, data.Bias);
        new SimtLinearKernel(device).Launch(weight, (GpuBuffer)input, (GpuBuffer)output, Rows, LinearEpilogue.GateUp);
        TestTensors.AssertClose(data.GatedProducts, backend.Download(output), Tolerance, 1e-5, "silu(gate) * up");
    }

    private static LinearScenarios Scenarios(TestDevice.Lease cuda) => new(cuda.Backend, ElementType.F32, RowCounts, SimtLinearKernel.MaxSharedOutRows, 2e-5);
}
