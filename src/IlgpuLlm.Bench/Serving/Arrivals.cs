namespace IlgpuLlm.Bench.Serving;

/// <summary>When requests come, as vLLM's <c>bench serve</c> draws it: gaps of the distribution, stretched so that the last request comes at the rate's time.</summary>
internal static class Arrivals
{
    /// <summary>The times in seconds, in order, the first at 0.</summary>
    /// <param name="count">Requests.</param>
    /// <param name="rate">A second; infinity: all at 0.</param>
    /// <param name="distribution">Of the gaps.</param>
    /// <param name="burstiness">The shape of the gamma distribution.</param>
    /// <param name="random">Draws them.</param>
    public static double[] Times(int count, double rate, ArrivalDistribution distribution, double burstiness, Random random)
    {
        double[] times = new double[count];
        if (double.IsPositiveInfinity(rate))
            return times;
        for (int i = 1; i < count; i++)
        {
            times[i] = times[i - 1] + distribution switch
            {
                ArrivalDistribution.Constant => 1 / rate,
                ArrivalDistribution.Poisson => Gamma(1, random) / rate,
                _ => Gamma(burstiness, random) / (rate * burstiness),
            };
        }
        // Of few requests the drawn rate may be far from the one that is asked for.
        double stretch = count > 1 && times[^1] > 0 ? (count - 1) / rate / times[^1] : 1;
        return Array.ConvertAll(times, time => time * stretch);
    }

    /// <summary>A gamma-distributed number of scale 1: Marsaglia and Tsang, A simple method for generating gamma variables, 2000.</summary>
    private static double Gamma(double shape, Random random)
    {
        if (shape < 1)
            return Gamma(shape + 1, random) * Math.Pow(1 - random.NextDouble(), 1 / shape);
        double d = shape - 1.0 / 3, c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = Normal(random), v = Math.Pow(1 + c * x, 3);
            if (v > 0 && Math.Log(1 - random.NextDouble()) < x * x / 2 + d - d * v + d * Math.Log(v))
                return d * v;
        }
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
