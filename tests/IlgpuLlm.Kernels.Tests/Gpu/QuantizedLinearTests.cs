using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Products with quantized weights, every kernel against the double-precision reference.</summary>
[TestClass]
public sealed class QuantizedLinearTests
{
    private const int EmulatedLanes = 512; // of the largest group
    private const int MaxRows = 130;
    private const float NormEpsilon = 1e-5f;
    private const double NormedTolerance = 2e-3; // a normalized element that lies at the border between two halves may be the other one; so may the result
    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, MaxRows];

    [TestMethod]
    [DataRow(4, 32, 5, 96)]
    [DataRow(4, -1, 19, 37)]
    [DataRow(4, 64, 33, 192)]
    [DataRow(8, 128, 17, 256)]
    [DataRow(8, -1, 6, 50)]
    [DataRow(8, 32, 40, 96)]
    public void Linear_Floats_MatchesReference(int bits, int groupSize, int outFeatures, int inFeatures)
    {
        foreach (bool isReordered in new[] { false, true })
        {
            using GpuBackend backend = TestDevice.Create();
            var data = new QuantizedData(bits, groupSize, outFeatures, inFeatures, isReordered, maxRows: 3);
            using LinearWeight weight = data.Load(backend);
            foreach (int rows in new[] { 1, 3 })
            {
                double[] expected = ReferenceKernels.Linear(data.Weight, data.Bias, data.X, rows, outFeatures, inFeatures);
                using DeviceBuffer input = backend.Upload(data.X), output = backend.Upload(new float[rows * outFeatures]);
                backend.Linear(weight, input, output, rows);
                TestTensors.AssertClose(expected, backend.Download(output), 2e-5, 1e-5, $"{rows} rows");
                backend.LinearAdd(weight, input, output, rows);
                TestTensors.AssertClose([.. expected.Select(v => 2 * v)], backend.Download(output), 4e-5, 1e-5, $"{rows} rows twice");
            }
        }
    }

    [TestMethod]
    [DataRow(4, 8)]
    [DataRow(8, 24)]
    [DataRow(4, 10)]
    public void LinearSiluMul_Floats_MatchesReference(int bits, int intermediate)
    {
        const int Hidden = 64, Rows = 3;
        using GpuBackend backend = TestDevice.Create();
        var data = new QuantizedData(bits, 32, 2 * intermediate, Hidden, isReordered: false, Rows);
        var model = new ModelShape(Hidden, intermediate, new AttentionShape(2, 1, 32, 0, 1), ElementType.F16, data.Format);
        using LinearWeight weight = data.Fill(backend.CreateQuantizedGateUp(model, data.Format, hasBias: true, []));
        using DeviceBuffer input = backend.Upload(data.X), output = backend.Allocate(ElementType.F32, Rows * intermediate);
        backend.LinearSiluMul(weight, input, output, Rows);
        TestTensors.AssertClose(data.SiluMul(data.Weight, Rows), backend.Download(output), 2e-5, 1e-5, "silu(gate) * up");
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void FillRandom_MatchesItsDefinition(int bits)
    {
        const int OutFeatures = 32, InFeatures = 70;
        const float Amplitude = 0.5f;
        using GpuBackend backend = TestDevice.Create();
        var format = new QuantizationFormat(bits, 10);
        var model = new ModelShape(InFeatures, OutFeatures / 2, new AttentionShape(2, 1, 32, 0, 1), ElementType.F16, format);
        using LinearWeight plain = backend.CreateQuantizedLinear(OutFeatures, InFeatures, format, hasBias: false, []);
        using LinearWeight gateUp = backend.CreateQuantizedGateUp(model, format, hasBias: false, []);
        plain.FillRandom(7, Amplitude);
        gateUp.FillRandom(7, Amplitude);
        int middle = 1 << (bits - 1);
        float[] w = new float[OutFeatures * InFeatures], x = TestTensors.Random(1, InFeatures);
        for (int i = 0; i < w.Length; i++)
            w[i] = ((int)(FillRandomKernel.Hash(7, i) >> (64 - bits)) - middle) * (float)(Half)(Amplitude / middle);
        double[] expected = ReferenceKernels.Linear(w, null, x, 1, OutFeatures, InFeatures);
        using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, OutFeatures);
        backend.Linear(plain, input, output, 1);
        TestTensors.AssertClose(expected, backend.Download(output), 2e-5, 1e-5, "in order");
        using DeviceBuffer activations = backend.Allocate(ElementType.F32, OutFeatures / 2);
        backend.LinearSiluMul(gateUp, input, activations, 1);
        double[] silu = ReferenceKernels.SiluMul([.. expected.Select(v => (float)v)], 1, OutFeatures / 2);
        TestTensors.AssertClose(silu, backend.Download(activations), 2e-5, 1e-5, "gate and up");
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(4, 32, 1, nameof(LinearEpilogue.Floats))]
    [DataRow(4, 128, 3, nameof(LinearEpilogue.Residual))]
    [DataRow(8, 64, 8, nameof(LinearEpilogue.Halves))]
    [DataRow(4, 64, 11, nameof(LinearEpilogue.Floats))]
    [DataRow(8, -1, 2, nameof(LinearEpilogue.Floats))]
    [DataRow(4, 64, 2, nameof(LinearEpilogue.GateUp))]
    public void Stream_Emulated_MatchesReference(int bits, int groupSize, int rows, string epilogue)
    {
        const int OutFeatures = 80, InFeatures = 128;
        using var device = IlgpuCpuDevice.Create(EmulatedLanes);
        var kernel = new QuantizedStreamKernel(device);
        var data = new QuantizedData(bits, groupSize, OutFeatures, InFeatures, isReordered: false, rows);
        CheckEmulated(device, data, OutFeatures, InFeatures, rows, Enum.Parse<LinearEpilogue>(epilogue), tolerance: 2e-5, kernel.Launch);
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(4, 128, 136, 384, nameof(LinearEpilogue.Halves))]
    [DataRow(4, 64, 64, 192, nameof(LinearEpilogue.GateUp))]
    [DataRow(4, 32, 40, 4160, nameof(LinearEpilogue.Halves))]
    [DataRow(8, 128, 80, 1152, nameof(LinearEpilogue.GateUp))]
    public void StreamNormed_Emulated_MatchesReferenceOfBothSteps(int bits, int groupSize, int outFeatures, int inFeatures, string epilogue)
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        using var device = IlgpuCpuDevice.Create(EmulatedLanes);
        var (data, x, norm, normed) = NormedData(bits, groupSize, outFeatures, inFeatures, isReordered: false);
        normed.CopyTo(data.X, 0);
        using GpuBuffer row = Upload(device, x), weight = Upload(device, norm);
        var kernel = new QuantizedStreamKernel(device);
        CheckEmulated(
            device, data, outFeatures, inFeatures, rows: 1, Enum.Parse<LinearEpilogue>(epilogue), NormedTolerance, (matrix, input, output, kind) =>
            {
                Assert.IsTrue(QuantizedStreamKernel.SupportsNormed(matrix, row, weight, input, kind));
                kernel.LaunchNormed(matrix, row, weight, NormEpsilon, output, kind);
            });
    }

    [TestMethod]
    [DataRow(4, 128, false)]
    [DataRow(4, 32, false)]
    [DataRow(8, 64, false)]
    [DataRow(4, 128, true)]
    public void RmsNormLinear_OneRow_MatchesReferenceOfBothSteps(int bits, int groupSize, bool isReordered)
    {
        const int OutFeatures = 416, InFeatures = 1152;
        using var cuda = TestDevice.RentCuda();
        Reserve(cuda.Backend, bits, groupSize, OutFeatures, InFeatures, isReordered);
        var (data, x, norm, normed) = NormedData(bits, groupSize, OutFeatures, InFeatures, isReordered);
        using LinearWeight weight = data.Load(cuda.Backend);
        using DeviceBuffer row = cuda.Backend.Upload(x), normWeight = cuda.Backend.Upload(norm), between = cuda.Backend.Allocate(ElementType.F16, InFeatures);
        double[] expected = ReferenceKernels.Linear(data.HalfWeight, data.Bias, normed, 1, OutFeatures, InFeatures);
        foreach (ElementType type in new[] { ElementType.F32, ElementType.F16 })
        {
            using DeviceBuffer output = cuda.Backend.Allocate(type, OutFeatures);
            cuda.Backend.RmsNormLinear(row, normWeight, NormEpsilon, between, weight, output, 1);
            TestTensors.AssertClose(expected, cuda.Backend.Download(output), NormedTolerance, NormedTolerance, $"{type}");
        }
    }

    [TestMethod]
    [DataRow(4, 128, 200, 128)]
    [DataRow(4, 32, 64, 320)]
    [DataRow(4, -1, 1000, 704)]
    [DataRow(8, 64, 136, 704)]
    [DataRow(8, 128, 264, 256)]
    public void Linear_Halves_MatchesReference(int bits, int groupSize, int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda();
        foreach (bool isReordered in new[] { false, true })
        {
            var data = Reserve(cuda.Backend, bits, groupSize, outFeatures, inFeatures, isReordered);
            using LinearWeight weight = data.Load(cuda.Backend);
            double[] products = ReferenceKernels.Linear(data.HalfWeight, data.Bias, data.X, MaxRows, outFeatures, inFeatures);
            double[] twice = [.. products.Select(v => 2 * v)];
            CheckHalves(cuda.Backend, data, outFeatures, products, ElementType.F32, (x, y, rows) => cuda.Backend.Linear(weight, x, y, rows));
            CheckHalves(cuda.Backend, data, outFeatures, products, ElementType.F16, (x, y, rows) => cuda.Backend.Linear(weight, x, y, rows));
            CheckHalves(cuda.Backend, data, outFeatures, twice, ElementType.F32, (x, y, rows) =>
            {
                cuda.Backend.Linear(weight, x, y, rows);
                cuda.Backend.LinearAdd(weight, x, y, rows);
            });
        }
    }

    [TestMethod]
    [DataRow(4, 64, 72, 192)]
    [DataRow(8, 128, 512, 128)]
    public void LinearSiluMul_Halves_MatchesReference(int bits, int groupSize, int intermediate, int hidden)
    {
        using var cuda = TestDevice.RentCuda();
        foreach (bool isReordered in new[] { false, true })
        {
            var data = Reserve(cuda.Backend, bits, groupSize, 2 * intermediate, hidden, isReordered);
            var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), ElementType.F16, data.Format);
            using LinearWeight weight = data.Fill(cuda.Backend.CreateQuantizedGateUp(model, data.Format, hasBias: true, data.Order));
            CheckHalves(cuda.Backend, data, intermediate, data.SiluMul(data.HalfWeight, MaxRows), ElementType.F16, (x, y, rows) => cuda.Backend.LinearSiluMul(weight, x, y, rows));
        }
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(4, false)]
    [DataRow(4, true)]
    [DataRow(8, false)]
    public void Dequantize_Emulated_IsExact(int bits, bool isReordered)
    {
        const int OutFeatures = 85, InFeatures = 128;
        using var device = IlgpuCpuDevice.Create(EmulatedLanes);
        var data = new QuantizedData(bits, 32, OutFeatures, InFeatures, isReordered, maxRows: 1);
        using var weight = new GpuQuantizedWeight(
            device, new QuantizedFillKernel(device), OutFeatures, InFeatures, data.Format, hasBias: true, data.Order);
        data.Fill(weight);
        using var output = GpuBuffer.Allocate(device, ElementType.F16, OutFeatures * InFeatures);
        new DequantizeKernel(device).Launch(weight, output);
        byte[] bytes = new byte[output.ByteLength];
        device.CopyToHost(output.Address, bytes);
        float[] actual = [.. MemoryMarshal.Cast<byte, Half>(bytes).ToArray().Select(h => (float)h)];
        TestTensors.AssertSameBits(TestTensors.RoundTo(ElementType.F16, data.Weight), actual, "halves");
    }

    /// <summary>Data of a model whose workspace holds it.</summary>
    private static QuantizedData Reserve(GpuBackend backend, int bits, int groupSize, int outFeatures, int inFeatures, bool isReordered)
    {
        int width = (Math.Max(outFeatures, inFeatures) + 63) / 64 * 64;
        backend.ReserveWorkspace(new(new ModelShape(width, width, new AttentionShape(2, 1, 64, 0, 1), ElementType.F16, new(bits, groupSize)), MaxRows, 1, 64));
        return new(bits, groupSize, outFeatures, inFeatures, isReordered, MaxRows);
    }

    /// <summary>Runs every number of rows: both kernels multiply the same halves, so that only sums differ, and results are rounded.</summary>
    private static void CheckHalves(
        GpuBackend backend, QuantizedData data, int width, double[] expected, ElementType outputType, Action<DeviceBuffer, DeviceBuffer, int> run)
    {
        using DeviceBuffer input = backend.Upload(ElementType.F16, data.X), output = backend.Allocate(outputType, (long)MaxRows * width);
        foreach (int rows in RowCounts)
        {
            run(input, output, rows);
            TestTensors.AssertClose(
                expected.AsSpan(0, rows * width), backend.Download(output).AsSpan(0, rows * width), 4e-4, outputType == ElementType.F16 ? 1e-3 : 2e-5, $"{outputType}, {rows} rows");
        }
    }

    private static void CheckEmulated(
        IlgpuCpuDevice device, QuantizedData data, int outFeatures, int inFeatures, int rows, LinearEpilogue epilogue, double tolerance,
        Action<GpuQuantizedWeight, GpuBuffer, QuantizedOutput, LinearEpilogue> launch)
    {
        bool isGateUp = epilogue == LinearEpilogue.GateUp, isHalves = isGateUp || epilogue == LinearEpilogue.Halves;
        using var weight = new GpuQuantizedWeight(
            device, new QuantizedFillKernel(device), outFeatures, inFeatures, data.Format, hasBias: true, [], isGateUp ? GpuWeight.GateUpBlock : null);
        data.Fill(weight);
        int width = isGateUp ? outFeatures / 2 : outFeatures;
        using var input = GpuBuffer.Allocate(device, ElementType.F16, data.X.Length);
        using var output = GpuBuffer.Allocate(device, isHalves ? ElementType.F16 : ElementType.F32, rows * width);
        Half[] x = [.. data.X.Select(v => (Half)v)];
        device.CopyToDevice(MemoryMarshal.AsBytes(x.AsSpan()), input.Address);
        device.CopyToDevice(new byte[output.ByteLength], output.Address);
        launch(weight, input, GpuBackend.QuantizedOutputOf(weight, output, rows), epilogue);
        byte[] bytes = new byte[output.ByteLength];
        device.CopyToHost(output.Address, bytes);
        float[] actual = isHalves
            ? [.. MemoryMarshal.Cast<byte, Half>(bytes).ToArray().Select(h => (float)h)]
            : MemoryMarshal.Cast<byte, float>(bytes).ToArray();
        double[] expected = isGateUp
            ? data.SiluMul(data.HalfWeight, rows)
            : ReferenceKernels.Linear(data.HalfWeight, data.Bias, data.X, rows, outFeatures, inFeatures);
        TestTensors.AssertClose(expected, actual, tolerance, isHalves ? Math.Max(tolerance, 6e-4) : 1e-5, $"{epilogue}, {rows} rows");
    }

    /// <summary>A weight, and a row, its norm's weight and what they make, rounded to halves.</summary>
    private static (QuantizedData Data, float[] X, float[] Norm, float[] Normed) NormedData(int bits, int groupSize, int outFeatures, int inFeatures, bool isReordered)
    {
        float[] x = TestTensors.Random(4, inFeatures), norm = TestTensors.Random(5, inFeatures, 2 / MathF.Sqrt(inFeatures));
        float[] normed = TestTensors.RoundTo(ElementType.F16, [.. ReferenceKernels.RmsNorm([.. x], norm, 1, NormEpsilon).Select(v => (float)v)]);
        return (new QuantizedData(bits, groupSize, outFeatures, inFeatures, isReordered, maxRows: 1), x, norm, normed);
    }

    private static GpuBuffer Upload(IlgpuCpuDevice device, float[] values)
    {
        var buffer = GpuBuffer.Allocate(device, ElementType.F32, values.Length);
        device.CopyToDevice(MemoryMarshal.AsBytes(values.AsSpan()), buffer.Address);
        return buffer;
    }
}
