using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Tests.Benchmarking;

[TestClass]
public sealed class StatisticsTests
{
    // numpy.percentile([4, 1, 3, 2], q), linear interpolation.
    [TestMethod]
    [DataRow(0.0, 1.0)]
    [DataRow(50.0, 2.5)]
    [DataRow(90.0, 3.7)]
    [DataRow(100.0, 4.0)]
    public void Percentile_OfFourValues_IsNumpys(double percent, double expected) =>
        Assert.AreEqual(expected, Statistics.Percentile([4, 1, 3, 2], percent), 1e-12);

    [TestMethod]
    public void StandardDeviation_OfValues_IsNumpysStd() => Assert.AreEqual(Math.Sqrt(1.25), Statistics.StandardDeviation([4, 1, 3, 2]), 1e-12);

    [TestMethod]
    public void Percentile_OfNothing_IsNaN() => Assert.AreEqual((double.NaN, double.NaN), (Statistics.Percentile([], 50), Statistics.Mean([])));
}
