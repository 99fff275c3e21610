using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Tests.Reports;

[TestClass]
public sealed class PublishedFiguresTests
{
    [TestMethod]
    // 2 bytes of 6,607,077,376 weights a token at 89.43 tokens/s are 1,181.7 GB/s of the A100's 2,039.
    [DataRow("llama", "float16", 89.43, 57.96)]
    // 4 bits and 20 more a group of 128, and the output layer in float16: 3,626 MB a token.
    [DataRow("llama", "int4", 115.52, 20.54)]
    [DataRow("mistral", "float16", 84.89, 59.20)]
    public void Of_SeedsModels_HaveTheirShareOfTheCardsLimit(string model, string precision, double rate, double percent)
    {
        var figure = PublishedFigures.Of(model).Single(p => p.Precision == precision);
        Assert.AreEqual(rate, figure.TokensPerSecond);
        Assert.AreEqual(percent, figure.PercentOfLimit, 0.01);
    }

    [TestMethod]
    public void Of_OtherModels_IsNothing() => Assert.AreEqual(0, PublishedFigures.Of("demo").Count);
}
