using IlgpuLlm.Bench.Serving;

namespace IlgpuLlm.Bench.Tests.Serving;

[TestClass]
public sealed class ArrivalsTests
{
    private const int Count = 20_001;
    private const double Rate = 8;

    [TestMethod]
    [DataRow("Poisson", 1.0, 1.0)]
    [DataRow("Gamma", 0.25, 2.0)]
    [DataRow("Gamma", 4.0, 0.5)]
    [DataRow("Constant", 1.0, 0.0)]
    public void Times_OfADistribution_HaveItsRateAndSpread(string distribution, double burstiness, double variation)
    {
        double[] times = Arrivals.Times(Count, Rate, Enum.Parse<ArrivalDistribution>(distribution), burstiness, new Random(1));
        double[] gaps = [.. times.Skip(1).Zip(times, (next, before) => next - before)];
        Assert.AreEqual((Count - 1) / Rate, times[^1], 1e-6, "the last one comes at the rate's time");
        Assert.IsTrue(gaps.All(gap => gap >= 0));
        double mean = gaps.Average(), deviation = Math.Sqrt(gaps.Average(gap => (gap - mean) * (gap - mean)));
        Assert.AreEqual(variation, deviation / mean, 0.05, "standard deviation of the gaps over their mean: 1 / sqrt(shape)");
    }

    [TestMethod]
    public void Times_InfiniteRate_AreAllNow() =>
        CollectionAssert.AreEqual(new double[5], Arrivals.Times(5, double.PositiveInfinity, ArrivalDistribution.Poisson, 1, new Random(0)));

    [TestMethod]
    [DataRow(1e-6, 0.01)]
    [DataRow(1e-6, 1e4)]
    [DataRow(1e6, 0.01)]
    [DataRow(1e6, 1e4)]
    public void Times_EndsOfTheRanges_AreFiniteAndGrowToTheRatesTime(double rate, double burstiness)
    {
        for (int seed = 0; seed < 50; seed++)
        {
            double[] times = Arrivals.Times(30, rate, ArrivalDistribution.Gamma, burstiness, new Random(seed));
            Assert.AreEqual(29 / rate, times[^1], 1e-9 / rate, $"seed {seed}");
            CollectionAssert.AreEqual(times.Order().ToArray(), times);
        }
    }

    [TestMethod]
    public void Times_SameSeed_AreTheSame() => CollectionAssert.AreEqual(
        Arrivals.Times(50, 3, ArrivalDistribution.Poisson, 1, new Random(7)), Arrivals.Times(50, 3, ArrivalDistribution.Poisson, 1, new Random(7)));
}
