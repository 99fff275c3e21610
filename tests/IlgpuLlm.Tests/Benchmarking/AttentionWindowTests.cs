using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Tests.Benchmarking;

[TestClass]
public sealed class AttentionWindowTests
{
    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(4)]
    [DataRow(100)]
    public void NumSeen_AnyRange_IsTheSumOverItsPositions(int window)
    {
        for (int first = 0; first < 12; first++)
        {
            for (int end = first; end < 20; end++)
            {
                int expected = Enumerable.Range(first, end - first).Sum(position => window == 0 ? position + 1 : Math.Min(position + 1, window));
                Assert.AreEqual(expected, new AttentionWindow(window).NumSeen(first, end), $"[{first}, {end}) with a window of {window}");
            }
        }
    }

    [TestMethod]
    [DataRow("NVIDIA H100 80GB HBM3", 989.0)]
    [DataRow("NVIDIA H100 PCIe", 756.0)]
    [DataRow("NVIDIA A100-SXM4-80GB", 312.0)]
    [DataRow("NVIDIA L40", null)]
    [DataRow("AMD EPYC 9654", null)]
    public void DevicePeak_ByName_IsKnownOrNull(string description, double? teraflops) => Assert.AreEqual(teraflops, DevicePeak.Of(description)?.Teraflops);
}
