using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Hopper's products against double-precision dot products of the same halves, with every epilogue, on sizes around the edges of tiles.</summary>
[TestClass]
public sealed class HopperLinearTests
{
    private const int MaxRows = 520;
    private const int GuardRows = 3; // behind the output: must stay as they are
    private const float Guard = -77f;

    private static readonly int[] Rows = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 130, 255, 257, 512];

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 320)]
    [DataRow(48, 72)]
    [DataRow(1000, 704)]
    [DataRow(1040, 1096)]
    [DataRow(4096, 4096)]
    public void Launch_AnyRowsAndEpilogue_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using CudaGpuDevice device = OpenHopper();
        using var kernel = new HopperLinearKernel(device);
        foreach (bool hasBias in new[] { false, true })
        {
            using var product = new Product(device, kernel, outFeatures, inFeatures, hasBias);
            foreach (LinearEpilogue epilogue in Enum.GetValues<LinearEpilogue>())
            {
                if (!kernel.Supports(product.Weight, epilogue))
                    continue;
                float[]? narrow = null, wide = null;
                foreach (int rows in Rows.Reverse())
                {
                    string what = $"{epilogue}, {rows} rows, bias {hasBias}, {kernel.NameOf(product.Weight, rows, epilogue)}";
                    float[] result = product.Run(epilogue, rows, what);
                    ref float[]? largest = ref rows <= HopperLinearKernel.MaxNarrowRows ? ref narrow : ref wide;
                    largest ??= result;
                    TestTensors.AssertSameBits(largest.AsSpan(0, result.Length), result, what + " against more rows");
                    product.Check(epilogue, rows, result, what);
                }
            }
        }
    }

    [TestMethod]
    [DataRow(1040, 712)] // divided tiles only, where tiles are divided
    [DataRow(8736, 200)] // whole tiles and divided ones on a device of 132 multiprocessors
    public void Launch_EveryWideTile_GivesTheSameBits(int outFeatures, int inFeatures)
    {
        using CudaGpuDevice device = OpenHopper();
        using var kernel = new HopperLinearKernel(device);
        using var product = new Product(device, kernel, outFeatures, inFeatures, hasBias: true);
        foreach (LinearEpilogue epilogue in Enum.GetValues<LinearEpilogue>())
        {
            foreach (int rows in new[] { 129, 300, 512 })
            {
                float[]? first = null;
                foreach ((int tile, bool byLane) in from tile in Enumerable.Range(0, HopperVariants.WideTiles.Length) from byLane in new[] { false, true } select (tile, byLane))
                {
                    (kernel.WideTile, kernel.WideStoresByLane) = (tile, byLane);
                    string what = $"{epilogue}, {rows} rows, {kernel.NameOf(product.Weight, rows, epilogue)}";
                    float[] result = product.Run(epilogue, rows, what);
                    product.Check(epilogue, rows, result, what);
                    first ??= result;
                    TestTensors.AssertSameBits(first, result, what + " against the first tile");
                }
            }
        }
    }

    [TestMethod]
    [DataRow(1040, 712)]
    [DataRow(200, 1096)]
    public void Launch_EveryNarrowForm_GivesTheSameBits(int outFeatures, int inFeatures)
    {
        using CudaGpuDevice device = OpenHopper();
        using var kernel = new HopperLinearKernel(device);
        using var product = new Product(device, kernel, outFeatures, inFeatures, hasBias: true);
        foreach ((LinearEpilogue epilogue, int split) in from epilogue in Enum.GetValues<LinearEpilogue>() from split in new[] { 1, 2, 4 } select (epilogue, split))
        {
            kernel.NarrowSplit = split;
            foreach (int rows in new[] { 3, 13, 32, 61, 128 })
            {
                float[]? first = null;
                for (int form = 0; form < HopperVariants.NarrowForms.Length; form++)
                {
                    kernel.NarrowForm = form;
                    (kernel.ReadsWeightsOnce, kernel.LaunchesNextLate) = (form % 2 == 1, form % 2 == 1);
                    string what = $"{epilogue}, {rows} rows, {kernel.NameOf(product.Weight, rows, epilogue)}";
                    float[] result = product.Run(epilogue, rows, what);
                    product.Check(epilogue, rows, result, what);
                    first ??= result;
                    TestTensors.AssertSameBits(first, result, what + " against the first form");
                }
            }
        }
    }

    [TestMethod]
    public void Launch_WhileAStreamIsCaptured_MakesMapsAndRuns()
    {
        using CudaGpuDevice device = OpenHopper();
        using var kernel = new HopperLinearKernel(device);
        using var product = new Product(device, kernel, 256, 512, hasBias: false);
        float[] expected = product.Run(LinearEpilogue.Floats, 16, "not captured");
        using var fresh = new HopperLinearKernel(device);
        float[] captured = product.Run(LinearEpilogue.Floats, 16, "captured", fresh);
        TestTensors.AssertSameBits(expected, captured, "captured");
    }

    [TestMethod]
    [DataRow(4096, 4096, 4)]
    [DataRow(12288, 4096, 1)]
    [DataRow(22016, 4096, 1)]
    [DataRow(4096, 11008, 4)]
    [DataRow(32000, 4096, 1)]
    [DataRow(6144, 4096, 2)]
    [DataRow(64, 64, 1)]
    [DataRow(64, 4096, 8)]
    public void Split_ModelShapes_FillTheDeviceOnce(int outFeatures, int inFeatures, int expected) =>
        Assert.AreEqual(expected, HopperLinearKernel.Split(outFeatures, inFeatures));

    private static CudaGpuDevice OpenHopper()
    {
        CudaGpuDevice? device = TestDevice.CreateCudaDevice();
        if (device is { IsHopper: true })
            return device;
        device?.Dispose();
        Assert.Inconclusive("skipped: needs a CUDA device of compute capability 9.0");
        throw new InvalidOperationException();
    }

    /// <summary>A weight, activations and buffers on the device, and the reference.</summary>
    private sealed class Product : IDisposable
    {
        private const int MaxChecks = 20_000;

        private readonly CudaGpuDevice _device;
        private readonly HopperLinearKernel _kernel;
        private readonly int _outFeatures, _inFeatures;
        private readonly float[] _w, _x, _residual;
        private readonly float[]? _bias;
        private readonly double[] _reference; // NaN: not computed yet
        private readonly GpuBuffer _input, _halves, _floats;

        public Product(CudaGpuDevice device, HopperLinearKernel kernel, int outFeatures, int inFeatures, bool hasBias)
        {
            (_device, _kernel, _outFeatures, _inFeatures) = (device, kernel, outFeatures, inFeatures);
            _w = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(1, outFeatures * inFeatures, 0.5f));
            _x = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(2, MaxRows * inFeatures));
            _bias = hasBias ? TestTensors.Random(3, outFeatures) : null;
            _residual = TestTensors.Random(4, MaxRows * outFeatures, 4);
            _reference = new double[MaxRows * outFeatures];
            _reference.AsSpan().Fill(double.NaN);
            Weight = new GpuLinearWeight(device, new FillRandomKernel(device), outFeatures, inFeatures, ElementType.F16, hasBias);
            Weight.LoadRows(0, outFeatures, ElementType.F16, TestTensors.Encode(ElementType.F16, _w));
            if (_bias is not null)
                Weight.LoadBias(0, _bias);
            _input = GpuBuffer.Allocate(device, ElementType.F16, _x.Length);
            device.CopyToDevice(TestTensors.Encode(ElementType.F16, _x), _input.Address);
            _halves = GpuBuffer.Allocate(device, ElementType.F16, MaxRows * outFeatures);
            _floats = GpuBuffer.Allocate(device, ElementType.F32, MaxRows * outFeatures);
        }

        public GpuLinearWeight Weight { get; }

        /// <summary>Launches on buffers that hold the residual or guards, and returns [rows, width] after seeing that what lies behind is untouched.</summary>
        public float[] Run(LinearEpilogue epilogue, int rows, string what, HopperLinearKernel? captured = null)
        {
            bool isHalves = epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp;
            int width = Width(epilogue), length = rows * width, guarded = (rows + GuardRows) * width;
            float[] before = new float[guarded];
            before.AsSpan().Fill(Guard);
            if (epilogue == LinearEpilogue.Residual)
                _residual.AsSpan(0, guarded).CopyTo(before);
            GpuBuffer output = isHalves ? _halves : _floats;
            _device.CopyToDevice(TestTensors.Encode(output.Type, before), output.Address);
            if (captured is null)
            {
                _kernel.Launch(Weight, _input, output, rows, epilogue);
            }
            else
            {
                using var graph = new CudaGraph((ILGPU.Runtime.Cuda.CudaStream)_device.Stream, _device.HasDependentLaunch, () => captured.Launch(Weight, _input, output, rows, epilogue));
                graph.Launch();
                _device.Stream.Synchronize();
            }
            var after = new byte[guarded * output.Type.SizeInBytes()];
            _device.CopyToHost(output.Address, after);
            float[] values = isHalves
                ? [.. MemoryMarshal.Cast<byte, Half>(after).ToArray().Select(h => (float)h)]
                : MemoryMarshal.Cast<byte, float>(after).ToArray();
            TestTensors.AssertSameBits(before.AsSpan(length), values.AsSpan(length), what + ", behind the last row");
            return values[..length];
        }

        /// <summary>Compares some of [rows, width], all if there are few, always the last ones.</summary>
        public void Check(LinearEpilogue epilogue, int rows, float[] result, string what)
        {
            int width = Width(epilogue), length = rows * width;
            var random = new Random(rows);
            // Sums of k products of up to 0.5; tensor cores cut off what an addition loses.
            double sumError = 2e-4 * Math.Max(1, _inFeatures / 512.0);
            for (int i = 0; i < Math.Min(length, MaxChecks); i++)
            {
                int at = length <= MaxChecks ? i : i < width ? length - 1 - i : random.Next(length);
                (int row, int column) = (at / width, at % width);
                double expected, error = sumError;
                if (epilogue == LinearEpilogue.GateUp)
                {
                    double gate = Sum(row, column / 8 * 16 + column % 8), up = Sum(row, column / 8 * 16 + 8 + column % 8);
                    expected = gate / (1 + Math.Exp(-gate)) * up;
                    error *= 1.1 * (Math.Abs(gate) + Math.Abs(up) + 1);
                }
                else
                {
                    expected = Sum(row, column) + (epilogue == LinearEpilogue.Residual ? _residual[at] : 0);
                }
                error += (epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp ? 6e-4 : 1e-6) * Math.Abs(expected);
                if (!(Math.Abs(result[at] - expected) <= error))
                    Assert.Fail($"{what}: row {row}, column {column} of [{rows}, {width}] is {result[at]:R}, expected {expected:R} within {error:G3}; {Wrong(epilogue, result)}");
            }
        }

        public void Dispose()
        {
            Weight.Dispose();
            _input.Dispose();
            _halves.Dispose();
            _floats.Dispose();
        }

        private int Width(LinearEpilogue epilogue) => epilogue == LinearEpilogue.GateUp ? _outFeatures / 2 : _outFeatures;

        private double Sum(int row, int column)
        {
            ref double sum = ref _reference[row * _outFeatures + column];
            if (double.IsNaN(sum))
            {
                sum = _bias?[column] ?? 0;
                ReadOnlySpan<float> x = _x.AsSpan(row * _inFeatures, _inFeatures), w = _w.AsSpan(column * _inFeatures, _inFeatures);
                for (int k = 0; k < x.Length; k++)
                    sum += (double)x[k] * w[k];
            }
            return sum;
        }

        /// <summary>What a wrong result looks like, to tell an unwritten one from a misplaced one.</summary>
        private string Wrong(LinearEpilogue epilogue, float[] result)
        {
            int guards = result.Count(v => v == Guard), zeros = result.Count(v => v == 0), nans = result.Count(float.IsNaN);
            string first = string.Join(' ', result.Take(8).Select(v => v.ToString("G5")));
            string expected = epilogue == LinearEpilogue.GateUp ? "" : ", sums " + string.Join(' ', Enumerable.Range(0, 8).Select(c => Sum(0, c).ToString("G5")));
            return $"{guards} unwritten, {zeros} zero, {nans} NaN of {result.Length}; row 0: {first}{expected}";
        }
    }
}
