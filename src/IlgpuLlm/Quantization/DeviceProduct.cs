using IlgpuLlm.Kernels;

namespace IlgpuLlm.Quantization;

/// <summary>Multiplies rows in the machine's memory by the transpose of a square matrix, on the device.</summary>
internal sealed class DeviceProduct : IDisposable
{
    private const int MaxRows = 512;

    private readonly Backend _backend;
    private readonly LinearWeight _matrix;
    private readonly DeviceBuffer _input;
    private readonly DeviceBuffer _output;

    /// <param name="backend">The device.</param>
    /// <param name="matrix">[width, width].</param>
    /// <param name="width">Its rows.</param>
    public DeviceProduct(Backend backend, float[] matrix, int width)
    {
        _backend = backend;
        _matrix = backend.CreateLinear(width, width, ElementType.F32, hasBias: false);
        _matrix.LoadFloats(0, matrix);
        _input = backend.Allocate(ElementType.F32, (long)MaxRows * width);
        _output = backend.Allocate(ElementType.F32, (long)MaxRows * width);
    }

    /// <summary>Multiplies rows: [numRows, width].</summary>
    public void Multiply(ReadOnlySpan<float> rows, Span<float> results)
    {
        int width = _matrix.InFeatures;
        for (int first = 0; first < rows.Length; first += MaxRows * width)
        {
            var part = rows.Slice(first, Math.Min(MaxRows * width, rows.Length - first));
            _backend.Upload(part, _input);
            _backend.Linear(_matrix, _input, _output, part.Length / width);
            _backend.Download(_output, results.Slice(first, part.Length));
        }
    }

    public void Dispose()
    {
        _matrix.Dispose();
        _input.Dispose();
        _output.Dispose();
    }
}
