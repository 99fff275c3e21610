using IlgpuLlm.Benchmarking;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Tests.Benchmarking;

[TestClass]
public sealed class LatencyBenchmarkTests
{
    [TestMethod]
    public void Unhidden_StepsOfTheWholeBatch_AreAveraged()
    {
        StepTime[] times = [new(64, 8, 0.1), new(63, 4, 3), new(64, 12, 0.3)];
        (double ms, double percent) = LatencyBenchmark.Unhidden(times, 64)!.Value;
        Assert.AreEqual(0.2, ms, 1e-12);
        Assert.AreEqual(100 * 0.4 / 20, percent, 1e-12);
        Assert.IsNull(LatencyBenchmark.Unhidden(times, 8));
    }
}
