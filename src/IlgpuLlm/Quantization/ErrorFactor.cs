using System.Numerics.Tensors;

namespace IlgpuLlm.Quantization;

/// <summary>
/// The error of a change d of an output's weights, d H d^T with H = X^T X, as a sum of squares: with H = F S F^T, where F is upper triangular with ones on its
/// diagonal and S is diagonal, it is the sum over j of S[j] (d[j] + sum over i below j of d[i] F[i, j])^2. So what a weight's change spoils, those after it can
/// make good: GPTQ's order of rounding (Frantar et al., 2022), without the inverse.
/// </summary>
internal sealed class ErrorFactor
{
    // Of the mean of H's diagonal, as in GPTQ: inputs that hardly differ on the calibration's text would otherwise be taken to be one.
    private const float Damping = 0.01f;

    private readonly float[] _rows; // F: [width, width]
    private readonly float[] _columns; // F transposed
    private readonly float[] _weights; // S

    /// <param name="products"><see cref="InputStatistics.MeanProducts"/>: H.</param>
    /// <param name="width">Its rows.</param>
    public ErrorFactor(float[] products, int width)
    {
        Width = width;
        _rows = [.. products];
        double trace = 0;
        for (int i = 0; i < width; i++)
            trace += products[i * width + i];
        Diagonal = trace > 0 ? (float)(trace / width * Damping) : 1;
        for (int i = 0; i < width; i++)
            _rows[i * width + i] += Diagonal;
        // R R^T = H with R upper triangular, from the last column to the first; R replaces what it is made of.
        for (int j = width - 1; j >= 0; j--)
        {
            int column = j;
            float root = MathF.Sqrt(Math.Max(_rows[j * width + j] - TensorPrimitives.SumOfSquares<float>(Tail(j, j)), Diagonal * 1e-3f));
            Parallel.For(0, j, i => _rows[i * width + column] = (_rows[i * width + column] - TensorPrimitives.Dot<float>(Tail(i, column), Tail(column, column))) / root);
            _rows[j * width + j] = root;
        }
        _weights = [.. Enumerable.Range(0, width).Select(j => _rows[j * width + j] * _rows[j * width + j])];
        _columns = new float[_rows.Length];
        Parallel.For(0, width, j =>
        {
            float root = MathF.Sqrt(_weights[j]);
            for (int i = 0; i <= j; i++)
                _columns[j * width + i] = _rows[i * width + j] / root;
        });
        Parallel.For(0, width, i =>
        {
            for (int j = i; j < width; j++)
                _rows[i * width + j] = _columns[j * width + i];
        });
    }

    /// <summary>Inputs.</summary>
    public int Width { get; }

    /// <summary>What was added to H's diagonal.</summary>
    public float Diagonal { get; }

    /// <summary>S[j].</summary>
    public float Weight(int j) => _weights[j];

    /// <summary>The sum over i from <paramref name="first"/> to j - 1 of changes[i - first] F[i, j].</summary>
    public float Carried(ReadOnlySpan<float> changes, int first, int j) => TensorPrimitives.Dot(changes[..(j - first)], _columns.AsSpan(j * Width + first, j - first));

    /// <summary>Replaces y by the z with z H = y: [width].</summary>
    public void Solve(Span<float> y)
    {
        for (int i = Width - 1; i >= 0; i--)
            y[i] -= TensorPrimitives.Dot<float>(y[(i + 1)..], Tail(i, i));
        for (int j = 0; j < Width; j++)
            y[j] = y[j] / _weights[j] - Carried(y, 0, j);
    }

    /// <summary>The elements of a row behind a column.</summary>
    private Span<float> Tail(int row, int column) => _rows.AsSpan(row * Width + column + 1, Width - column - 1);
}
