using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Tests.Options;

[TestClass]
public sealed class TokenIdsTests
{
    [TestMethod]
    [DataRow("1,403,407", new[] { 1, 403, 407 })]
    [DataRow("[1, 403]", new[] { 1, 403 })]
    [DataRow(" 7 ", new[] { 7 })]
    [DataRow("", new int[0])]
    [DataRow("[]", new int[0])]
    [DataRow("1,-2", new[] { 1, -2 })]
    public void Parse_List_GivesIds(string text, int[] ids) => CollectionAssert.AreEqual(ids, TokenIds.Parse(text));

    [TestMethod]
    [DataRow("1,")]
    [DataRow("[1")]
    [DataRow("1 2")]
    [DataRow("1.0")]
    [DataRow("2147483648")]
    public void Parse_NotAList_GivesNull(string text) => Assert.IsNull(TokenIds.Parse(text));
}
