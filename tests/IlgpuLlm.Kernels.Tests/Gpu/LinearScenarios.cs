using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// What every family of products is put through: each number of rows within the tolerance of the double-precision reference, and the same bits whatever the
/// number, up to some and above.
/// </summary>
/// <param name="backend">The backend.</param>
/// <param name="type">What weights and activations are stored as.</param>
/// <param name="rowCounts">The numbers of rows.</param>
/// <param name="maxFewRows">Up to so many rows, one aside, all numbers give the same bits; and above.</param>
/// <param name="relative">The tolerance relative to the result.</param>
internal sealed class LinearScenarios(GpuBackend backend, ElementType type, int[] rowCounts, int maxFewRows, double relative)
{
    private readonly int _maxRows = rowCounts.Max();

    public void CheckLinear(int outFeatures, int inFeatures, ElementType outputType, double absolute)
    {
        ProductData data = new(type, outFeatures, inFeatures, _maxRows);
        using LinearWeight weight = data.Load(backend, type);
        Check(data, outFeatures, outputType, data.Products, absolute, (x, y, rows) => backend.Linear(weight, x, y, rows));
    }

    public void CheckLinearAdd(int outFeatures, int inFeatures, double absolute)
    {
        ProductData data = new(type, outFeatures, inFeatures, _maxRows);
        using LinearWeight weight = data.Load(backend, type);
        Check(data, outFeatures, ElementType.F32, data.Sums, absolute, (x, y, rows) =>
        {
            backend.Upload(data.Residual, y);
            backend.LinearAdd(weight, x, y, rows);
        });
    }

    public void CheckLinearSiluMul(int intermediate, int hidden, double absolute)
    {
        var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), type);
        if (backend.ActivationType(model) != type)
            Assert.Inconclusive("skipped: the device has no fast kernels for halves");
        // Gates and ups of the size of 1: the error of a gate counts as many times as its up is large.
        ProductData data = new(type, 2 * intermediate, hidden, _maxRows, amplitude: 2 / MathF.Sqrt(hidden));
        using LinearWeight weight = data.LoadGateUp(backend, model);
        Check(data, intermediate, type, data.GatedProducts, absolute, (x, y, rows) => backend.LinearSiluMul(weight, x, y, rows));
    }

    private void Check(ProductData data, int width, ElementType outputType, double[] expected, double absolute, Action<DeviceBuffer, DeviceBuffer, int> run)
    {
        using DeviceBuffer input = backend.Upload(type, data.X), output = backend.Allocate(outputType, (long)_maxRows * width);
        float[] many = Run(_maxRows), few = Run(maxFewRows);
        foreach (int rows in rowCounts)
        {
            float[] result = Run(rows);
            if (rows > 1)
                TestTensors.AssertSameBits((rows > maxFewRows ? many : few).AsSpan(0, rows * width), result, $"{outputType}, {rows} rows");
        }

        float[] Run(int rows)
        {
            run(input, output, rows);
            float[] result = backend.Download(output)[..(rows * width)];
            TestTensors.AssertClose(expected.AsSpan(0, rows * width), result, absolute, relative, $"{outputType}, {rows} rows");
            return result;
        }
    }
}
