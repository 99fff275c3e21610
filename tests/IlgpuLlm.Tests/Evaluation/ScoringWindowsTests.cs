using IlgpuLlm.Evaluation;

namespace IlgpuLlm.Tests.Evaluation;

[TestClass]
public sealed class ScoringWindowsTests
{
    private const int Bos = 99;

    private static readonly int[] Text = [10, 11, 12, 13, 14, 15, 16];

    [TestMethod]
    public void Divide_Bos_BeginsEveryWindowAndAllTokensAreScored()
    {
        var windows = new ScoringWindows { Length = 4 }.Divide(Text, Bos, 100);
        Check(windows, ([99, 10, 11, 12], 1), ([99, 13, 14, 15], 1), ([99, 16], 1));
    }

    [TestMethod]
    public void Divide_NoBos_BeginsWithTheTokenBefore()
    {
        var windows = new ScoringWindows { Length = 4 }.Divide(Text, null, 100);
        Check(windows, ([10, 11, 12, 13], 1), ([13, 14, 15, 16], 1));
    }

    [TestMethod]
    public void Divide_Stride_ScoresWhatTheWindowBeforeDidNot()
    {
        var windows = new ScoringWindows { Length = 5, Stride = 2 }.Divide(Text, Bos, 100);
        Check(windows, ([99, 10, 11, 12, 13], 1), ([99, 12, 13, 14, 15], 3), ([99, 14, 15, 16], 3));
    }

    [TestMethod]
    [DataRow(2, 1)]
    [DataRow(3, 1)]
    [DataRow(7, 3)]
    [DataRow(20, 19)]
    public void Divide_AnyShape_ScoresEveryTokenOnceInOrder(int length, int stride)
    {
        int[] text = [.. Enumerable.Range(0, 50)];
        foreach (int? bos in new int?[] { Bos, null })
        {
            var windows = new ScoringWindows { Length = length, Stride = stride }.Divide(text, bos, 100);
            int[] scored = [.. windows.SelectMany(window => window.TokenIds[window.FirstScored..])];
            CollectionAssert.AreEqual(bos is null ? text[1..] : text, scored);
            Assert.IsTrue(windows.All(window => window.TokenIds.Length <= length));
        }
    }

    [TestMethod]
    public void Divide_Defaults_FillTheModelsContext()
    {
        int[] text = new int[5000];
        Assert.AreEqual(99, new ScoringWindows().Divide(text, Bos, 100)[0].TokenIds.Length);
        Assert.AreEqual(2048, new ScoringWindows().Divide(text, Bos, 1 << 17)[0].TokenIds.Length);
    }

    [TestMethod]
    [DataRow(100, null, "window: 100 must be in [2, 99]: max-model-len is 100")]
    [DataRow(1, null, "window: 1 must be in [2, 99]: max-model-len is 100")]
    [DataRow(10, 10, "stride: 10 must be in [1, 9]: windows have 10 tokens, the first of which is not scored")]
    [DataRow(10, 0, "stride: 0 must be in [1, 9]: windows have 10 tokens, the first of which is not scored")]
    public void Divide_OutOfRange_NamesTheLimit(int length, int? stride, string message) =>
        Assert.AreEqual(message, Assert.ThrowsExactly<InvalidOptionException>(() => new ScoringWindows { Length = length, Stride = stride }.Divide(Text, Bos, 100)).Message);

    [TestMethod]
    public void Divide_TooShort_SaysHowManyTokensThereAre()
    {
        Assert.AreEqual("text: has 0 tokens, at least 1 are needed", Assert.ThrowsExactly<InvalidOptionException>(() => new ScoringWindows().Divide([], Bos, 100)).Message);
        Assert.AreEqual("text: has 1 tokens, at least 2 are needed", Assert.ThrowsExactly<InvalidOptionException>(() => new ScoringWindows().Divide([1], null, 100)).Message);
    }

    private static void Check(IReadOnlyList<ScoringWindow> actual, params (int[] TokenIds, int FirstScored)[] expected)
    {
        Assert.AreEqual(expected.Length, actual.Count);
        for (int w = 0; w < expected.Length; w++)
        {
            CollectionAssert.AreEqual(expected[w].TokenIds, actual[w].TokenIds, $"window {w}");
            Assert.AreEqual(expected[w].FirstScored, actual[w].FirstScored, $"window {w}");
        }
    }
}
