using System.Numerics.Tensors;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Quantization;

/// <summary>
/// What is known of the rows that a matrix is multiplied by: how large each feature is; X^T X, from which the error of any change D of the matrix follows,
/// ||X D^T||^2 = trace(D X^T X D^T); and X^T Y, where Y are the rows that the model of floats has in their place. The products are made on the device.
/// </summary>
internal sealed class InputStatistics : IDisposable
{
    private const int MaxZeros = 1 << 20;

    private readonly Backend _backend;
    private readonly int _maxTokens;
    private readonly float[] _columns; // [width, maxTokens]
    private readonly double[] _magnitudes;
    private readonly LinearWeight _weight;
    private readonly DeviceBuffer _input;
    private readonly DeviceBuffer _products; // [width, width]
    private readonly DeviceBuffer _cross; // [width, width]
    private long _numTokens;

    /// <param name="backend">The device.</param>
    /// <param name="width">Features.</param>
    /// <param name="maxTokens">The most rows at a time.</param>
    public InputStatistics(Backend backend, int width, int maxTokens)
    {
        (_backend, Width, _maxTokens) = (backend, width, maxTokens);
        _columns = new float[checked(maxTokens * width)];
        _magnitudes = new double[width];
        _weight = backend.CreateLinear(width, maxTokens, ElementType.F32, hasBias: false);
        _input = backend.Allocate(ElementType.F32, _columns.Length);
        _products = backend.Allocate(ElementType.F32, (long)width * width);
        _cross = backend.Allocate(ElementType.F32, (long)width * width);
        Clear(_products);
        Clear(_cross);
    }

    /// <summary>Features.</summary>
    public int Width { get; }

    /// <summary>Adds rows.</summary>
    /// <param name="rows">X: [numRows, width].</param>
    /// <param name="exact">Y: [numRows, width].</param>
    public void Add(ReadOnlyMemory<float> rows, ReadOnlyMemory<float> exact)
    {
        _numTokens += rows.Length / Width;
        SetColumns(rows);
        for (int k = 0; k < Width; k++)
            _magnitudes[k] += TensorPrimitives.SumOfMagnitudes<float>(_columns.AsSpan(k * _maxTokens, _maxTokens));
        _weight.LoadFloats(0, _columns);
        _backend.Upload(_columns, _input);
        _backend.LinearAdd(_weight, _input, _products, Width);
        SetColumns(exact);
        _weight.LoadFloats(0, _columns);
        _backend.LinearAdd(_weight, _input, _cross, Width);
    }

    /// <summary>Each feature's mean magnitude: [width].</summary>
    public float[] MeanMagnitudes() => [.. _magnitudes.Select(sum => (float)(sum / _numTokens))];

    /// <summary>X^T X over the number of rows: [width, width].</summary>
    public float[] MeanProducts() => Mean(_products);

    /// <summary>X^T Y over the number of rows: [width, width].</summary>
    public float[] MeanCrossProducts() => Mean(_cross);

    public void Dispose()
    {
        _weight.Dispose();
        _input.Dispose();
        _products.Dispose();
        _cross.Dispose();
    }

    private void SetColumns(ReadOnlyMemory<float> rows)
    {
        int numRows = rows.Length / Width;
        Parallel.For(0, Width, k =>
        {
            var source = rows.Span;
            var column = _columns.AsSpan(k * _maxTokens, _maxTokens);
            column[numRows..].Clear();
            for (int t = 0; t < numRows; t++)
                column[t] = source[t * Width + k];
        });
    }

    private void Clear(DeviceBuffer buffer)
    {
        float[] zeros = new float[Math.Min(buffer.Length, MaxZeros)];
        for (long first = 0; first < buffer.Length; first += zeros.Length)
        {
            int count = (int)Math.Min(zeros.Length, buffer.Length - first);
            _backend.Upload(zeros.AsSpan(0, count), buffer.Slice(first, count));
        }
    }

    private float[] Mean(DeviceBuffer sums)
    {
        float[] result = new float[checked(Width * Width)];
        _backend.Download(sums, result);
        TensorPrimitives.Divide(result, _numTokens, result);
        return result;
    }
}
