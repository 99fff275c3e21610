namespace IlgpuLlm.Quantization;

/// <summary>
/// AWQ's search for scales (Lin et al., 2023): an input whose values are large gets larger weights before they are rounded, and is divided by as much itself, so
/// that rounding costs it less. Scales are mean|x|^alpha; alpha is the one of a grid from 0 to 1 with the smallest error of the outputs.
/// </summary>
internal static class ScaleSearch
{
    private const int NumSteps = 20;

    // The error is taken of as many outputs of each matrix, from all over it: alpha is one number.
    private const int MaxRows = 64;

    // Of a feature's mean magnitude, as in AutoAWQ: one that is always 0 could not be divided by.
    private const float SmallestMagnitude = 1e-4f;

    /// <summary>Searches.</summary>
    /// <param name="magnitudes">The mean magnitude of each input; scales are equal where these are.</param>
    /// <param name="matrices">All that are multiplied by these inputs.</param>
    /// <param name="rounding">How they will be rounded.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>By what each input's weights are multiplied: [inFeatures].</returns>
    public static float[] Search(float[] magnitudes, IReadOnlyList<HostMatrix> matrices, FeedbackRounding rounding, CancellationToken cancellationToken)
    {
        float[] best = [];
        double least = double.PositiveInfinity;
        for (int step = 0; step <= NumSteps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            float[] scales = Scales(magnitudes, (double)step / NumSteps);
            double error = matrices.Sum(matrix => rounding.ErrorOf(matrix, scales, MaxRows));
            if (error < least)
                (best, least) = (scales, error);
        }
        return best;
    }

    /// <summary>magnitude^alpha, so that the largest times the smallest is 1.</summary>
    private static float[] Scales(float[] magnitudes, double alpha)
    {
        double[] scales = [.. magnitudes.Select(value => Math.Pow(Math.Max(value, SmallestMagnitude), alpha))];
        double middle = Math.Sqrt(scales.Max() * scales.Min());
        return [.. scales.Select(scale => (float)(scale / middle))];
    }
}
