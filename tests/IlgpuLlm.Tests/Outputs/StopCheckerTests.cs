using System.Text;
using IlgpuLlm.Outputs;

namespace IlgpuLlm.Tests.Outputs;

[TestClass]
public sealed class StopCheckerTests
{
    [TestMethod]
    [DataRow("Hello wor|ld!", "world", false, "Hello ")]
    [DataRow("Hello wor|ld!", "world", true, "Hello world")]
    [DataRow("ab|c", "abc", false, "")]
    [DataRow("x|y|z", "q", false, null)]
    [DataRow("aa|a|b", "ab", false, "aa")]
    [DataRow("one two| three", "three,two", false, "one ")]
    public void Check_PieceByPiece_CutsAtTheFirstStopString(string pieces, string stops, bool include, string? expected)
    {
        var checker = new StopChecker(stops.Split(','), include);
        var text = new StringBuilder();
        string? found = null;
        foreach (string piece in pieces.Split('|'))
        {
            text.Append(piece);
            found ??= checker.Check(text, piece.Length);
            if (found is not null)
                break;
        }
        Assert.AreEqual(expected is null, found is null);
        if (expected is not null)
            Assert.AreEqual(expected, text.ToString());
    }

    [TestMethod]
    public void Check_TextBeforeTheNewCharacters_IsNotLookedAtAgain()
    {
        var checker = new StopChecker(["stop"], includeInOutput: false);
        var text = new StringBuilder("a stop passed over by min_tokens");
        text.Append('!');
        Assert.IsNull(checker.Check(text, 1));
    }

    [TestMethod]
    public void HoldBack_IsTheLongestStopStringLessOne()
    {
        Assert.AreEqual(4, new StopChecker(["ab", "abcde"], includeInOutput: false).HoldBack);
        Assert.AreEqual(0, new StopChecker(["abcde"], includeInOutput: true).HoldBack);
        Assert.AreEqual(0, new StopChecker([], includeInOutput: false).HoldBack);
    }
}
