namespace IlgpuLlm.Benchmarking;

/// <summary>Means and percentiles of measured values, as numpy has them.</summary>
internal static class Statistics
{
    /// <summary>The value below which this share of the values lies, interpolated between neighbours; NaN where there are none.</summary>
    /// <param name="values">In any order.</param>
    /// <param name="percent">In [0, 100].</param>
    public static double Percentile(IEnumerable<double> values, double percent)
    {
        double[] sorted = [.. values.Order()];
        if (sorted.Length == 0)
            return double.NaN;
        double position = percent / 100 * (sorted.Length - 1);
        int below = (int)position, above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
    }

    /// <summary>The value in the middle.</summary>
    public static double Median(IEnumerable<double> values) => Percentile(values, 50);

    /// <summary>The mean; NaN where there are no values.</summary>
    public static double Mean(IReadOnlyCollection<double> values) => values.Count == 0 ? double.NaN : values.Sum() / values.Count;

    /// <summary>The standard deviation of the values themselves (numpy.std), not an estimate from a sample.</summary>
    public static double StandardDeviation(IReadOnlyCollection<double> values)
    {
        double mean = Mean(values);
        return Math.Sqrt(Mean([.. values.Select(value => (value - mean) * (value - mean))]));
    }
}
