using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>A weight of halves, activations and buffers for <see cref="HopperLinearKernel"/>, and the reference, which sees the same halves.</summary>
internal sealed class HopperProduct : IDisposable
{
    /// <summary>The rows of activations.</summary>
    public const int MaxRows = 512;

    private const int GuardRows = 3; // behind the output: must stay as they are
    private const float Guard = -77f;

    private readonly CudaGpuDevice _device;
    private readonly GpuBackend _backend;
    private readonly HopperLinearKernel _kernel;
    private readonly int _outFeatures, _inFeatures;
    private readonly float[] _w, _x, _bias, _residual;
    private readonly Lazy<double[]> _products; // without the bias
    private readonly Dictionary<(LinearEpilogue, bool), (double[] Values, float[] Errors)> _references = [];
    private readonly GpuLinearWeight _plain, _biased;
    private readonly DeviceBuffer _input, _halves, _floats;

    public HopperProduct(TestDevice.Lease cuda, HopperLinearKernel kernel, int outFeatures, int inFeatures)
    {
        (_device, _backend, _kernel, _outFeatures, _inFeatures) = ((CudaGpuDevice)cuda.Device, cuda.Backend, kernel, outFeatures, inFeatures);
        _w = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(1, outFeatures * inFeatures, 0.5f));
        _x = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(2, MaxRows * inFeatures));
        _bias = TestTensors.Random(3, outFeatures);
        _residual = TestTensors.Random(4, (MaxRows + GuardRows) * outFeatures, 4);
        _products = new(() => ReferenceKernels.Linear(_w, null, _x, MaxRows, outFeatures, inFeatures));
        (_plain, _biased) = (Load(hasBias: false), Load(hasBias: true));
        _input = _backend.Upload(ElementType.F16, _x);
        _halves = _backend.Allocate(ElementType.F16, (MaxRows + GuardRows) * outFeatures);
        _floats = _backend.Allocate(ElementType.F32, (MaxRows + GuardRows) * outFeatures);
    }

    /// <summary>Whether the weight has a bias.</summary>
    public bool HasBias { get; set; }

    public GpuLinearWeight Weight => HasBias ? _biased : _plain;

    /// <summary>Loads kernels side by side; a launch would compile its own and wait.</summary>
    public void Prepare(IEnumerable<string> names)
    {
        HashSet<string> wanted = [.. names];
        foreach (GpuKernel variant in HopperLinearKernel.Variants.Where(variant => wanted.Contains(variant.Name)))
            _device.BeginLoading(variant);
    }

    public string Describe(LinearEpilogue epilogue, int rows) => $"{epilogue}, {rows} rows, bias {HasBias}, {_kernel.NameOf(Weight, rows, epilogue)}";

    /// <summary>Launches on buffers that hold the residual or guards, and returns [rows, width] after seeing that what lies behind is untouched.</summary>
    public float[] Run(LinearEpilogue epilogue, int rows, string what, HopperLinearKernel? captured = null)
    {
        int width = Width(epilogue), length = rows * width, guarded = (rows + GuardRows) * width;
        float[] before = new float[guarded];
        before.AsSpan().Fill(Guard);
        if (epilogue == LinearEpilogue.Residual)
            _residual.AsSpan(0, guarded).CopyTo(before);
        var (input, output) = ((GpuBuffer)_input, (GpuBuffer)(IsHalves(epilogue) ? _halves : _floats));
        _backend.UploadAs(before, output.Slice(0, guarded));
        if (captured is null)
        {
            _kernel.Launch(Weight, input, output, rows, epilogue);
        }
        else
        {
            using var graph = new CudaGraph((ILGPU.Runtime.Cuda.CudaStream)_device.Stream, _device.HasDependentLaunch, () => captured.Launch(Weight, input, output, rows, epilogue));
            graph.Launch();
            _device.Stream.Synchronize();
        }
        float[] values = _backend.Download(output.Slice(0, guarded));
        TestTensors.AssertSameBits(before.AsSpan(length), values.AsSpan(length), what + ", behind the last row");
        return values[..length];
    }

    /// <summary>Launches and compares every element with the reference.</summary>
    public float[] Check(LinearEpilogue epilogue, int rows)
    {
        float[] result = Run(epilogue, rows, Describe(epilogue, rows));
        (double[] expected, float[] errors) = Reference(epilogue);
        int width = Width(epilogue);
        for (int i = 0; i < result.Length; i++)
        {
            if (!(Math.Abs(result[i] - expected[i]) <= errors[i]))
            {
                Assert.Fail(
                    $"{Describe(epilogue, rows)}: row {i / width}, column {i % width} of [{rows}, {width}] is {result[i]:R}, expected {expected[i]:R} within "
                    + $"{errors[i]:G3}; {Wrong(expected, result)}");
            }
        }
        return result;
    }

    public void Dispose()
    {
        foreach (IDisposable part in new IDisposable[] { _plain, _biased, _input, _halves, _floats })
            part.Dispose();
    }

    private static bool IsHalves(LinearEpilogue epilogue) => epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp;

    /// <summary>What a wrong result looks like, to tell an unwritten one from a misplaced one.</summary>
    private static string Wrong(double[] expected, float[] result)
    {
        int guards = result.Count(v => v == Guard), zeros = result.Count(v => v == 0), nans = result.Count(float.IsNaN);
        return $"{guards} unwritten, {zeros} zero, {nans} NaN of {result.Length}; row 0: {string.Join(' ', result.Take(8).Select(v => v.ToString("G5")))}, "
            + $"expected {string.Join(' ', expected.Take(8).Select(v => v.ToString("G5")))}";
    }

    private int Width(LinearEpilogue epilogue) => epilogue == LinearEpilogue.GateUp ? _outFeatures / 2 : _outFeatures;

    private GpuLinearWeight Load(bool hasBias)
    {
        var weight = new GpuLinearWeight(_device, new FillRandomKernel(_device), _outFeatures, _inFeatures, ElementType.F16, hasBias);
        weight.LoadRows(0, _outFeatures, ElementType.F16, TestTensors.Encode(ElementType.F16, _w));
        if (hasBias)
            weight.LoadBias(0, _bias);
        return weight;
    }

    /// <summary>The values of all rows and how far from them results may be.</summary>
    private (double[] Values, float[] Errors) Reference(LinearEpilogue epilogue)
    {
        if (_references.TryGetValue((epilogue, HasBias), out var known))
            return known;
        double[] products = _products.Value;
        int width = Width(epilogue);
        var (values, errors) = (new double[MaxRows * width], new float[MaxRows * width]);
        // Sums of k products of up to 0.5; tensor cores cut off what an addition loses.
        double sumError = 2e-4 * Math.Max(1, _inFeatures / 512.0), rounding = IsHalves(epilogue) ? 6e-4 : 1e-6;
        Parallel.For(0, MaxRows, row =>
        {
            for (int column = 0; column < width; column++)
            {
                int at = row * width + column;
                double error = sumError;
                if (epilogue == LinearEpilogue.GateUp)
                {
                    int gateColumn = column / 8 * 16 + column % 8;
                    double gate = Sum(row, gateColumn), up = Sum(row, gateColumn + 8);
                    values[at] = gate / (1 + Math.Exp(-gate)) * up;
                    error *= 1.1 * (Math.Abs(gate) + Math.Abs(up) + 1);
                }
                else
                {
                    values[at] = Sum(row, column) + (epilogue == LinearEpilogue.Residual ? _residual[at] : 0);
                }
                errors[at] = (float)(error + rounding * Math.Abs(values[at]));
            }
        });
        return _references[(epilogue, HasBias)] = (values, errors);

        double Sum(int row, int column) => products[row * _outFeatures + column] + (HasBias ? _bias[column] : 0);
    }
}
