namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// The elements of a matrix of halves that <see cref="Simd.PackedHalf"/> has no code for: 128 and above, infinities and NaN. Trained models have none or few;
/// the panels hold zeros in their places, and their products are added behind those of the panels.
/// </summary>
internal sealed unsafe class WeightOutliers
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(int Row, int Input), float> _values = [];
    private (int Row, int Input, float Value)[]? _sorted = [];

    /// <summary>Adds an element. Different threads may load different rows.</summary>
    public void Add(int row, int input, Half value)
    {
        lock (_lock)
        {
            _values[(row, input)] = (float)value;
            Volatile.Write(ref _sorted, null);
        }
    }

    /// <summary>Forgets those of rows [firstRow, endRow), which are loaded anew.</summary>
    public void Forget(int firstRow, int endRow)
    {
        lock (_lock)
        {
            foreach (var key in _values.Keys.Where(key => key.Row >= firstRow && key.Row < endRow).ToArray())
                _values.Remove(key);
            Volatile.Write(ref _sorted, _values.Count == 0 ? [] : null);
        }
    }

    /// <summary>Adds what row <paramref name="row"/> has to its other elements: [inFeatures].</summary>
    public void AddTo(int row, float* elements)
    {
        foreach (var outlier in Sorted())
            if (outlier.Row == row)
                elements[outlier.Input] += outlier.Value;
    }

    /// <summary>output += input W^T for these elements of W's rows [firstRow, endRow), in order of their inputs.</summary>
    public void AddProducts(float* input, int inFeatures, int numRows, float* output, int outFeatures, int firstRow, int endRow)
    {
        foreach (var outlier in Sorted())
            if (outlier.Row >= firstRow && outlier.Row < endRow)
                for (int r = 0; r < numRows; r++)
                    output[(nint)r * outFeatures + outlier.Row] += input[(nint)r * inFeatures + outlier.Input] * outlier.Value;
    }

    private (int Row, int Input, float Value)[] Sorted()
    {
        if (Volatile.Read(ref _sorted) is { } sorted)
            return sorted;
        lock (_lock)
        {
            sorted = [.. _values.Select(pair => (pair.Key.Row, pair.Key.Input, pair.Value)).Order()];
            Volatile.Write(ref _sorted, sorted);
            return sorted;
        }
    }
}
