using System.Numerics.Tensors;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Fits a matrix to inputs that are not quite those of the model of floats, since what comes before is rounded already: the T for which X T^T is nearest to
/// Y W^T, so that rounding aims at the outputs of the model of floats. T = W + W (Y^T X - X^T X) (X^T X)^-1.
/// </summary>
internal static class Refit
{
    /// <summary>Fits.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="matrix">W.</param>
    /// <param name="statistics">X and Y.</param>
    /// <param name="factor">Of X^T X.</param>
    public static HostMatrix Fit(Backend backend, HostMatrix matrix, InputStatistics statistics, ErrorFactor factor)
    {
        float[] difference = statistics.MeanCrossProducts(), fitted = new float[matrix.Values.Length];
        TensorPrimitives.Subtract(difference, statistics.MeanProducts(), difference);
        using (var product = new DeviceProduct(backend, difference, matrix.InFeatures))
            product.Multiply(matrix.Values.Span, fitted);
        Parallel.For(0, matrix.OutFeatures, row =>
        {
            var target = fitted.AsSpan(row * matrix.InFeatures, matrix.InFeatures);
            factor.Solve(target);
            TensorPrimitives.Add<float>(target, matrix.Row(row), target);
        });
        return new HostMatrix(matrix.Module, matrix.OutFeatures, matrix.InFeatures, fitted, matrix.Bias);
    }
}
