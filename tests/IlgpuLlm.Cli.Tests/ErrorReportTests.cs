namespace IlgpuLlm.Cli.Tests;

[TestClass]
public sealed class ErrorReportTests
{
    [TestMethod]
    public void OneLine_SeveralLines_AreJoined() => Assert.AreEqual("error: a b c", ErrorReport.OneLine("a\r\n  b\n\nc\n"));

    [TestMethod]
    public void Describe_RequestField_IsSpeltAsOption() =>
        Assert.AreEqual((2, "--top-p: 2 must be in (0, 1]"), ErrorReport.Describe(new InvalidRequestException("top_p", "2 must be in (0, 1]")));

    [TestMethod]
    public void Describe_UnexpectedError_IsNamedByItsType() =>
        Assert.AreEqual((1, "NotSupportedException: no"), ErrorReport.Describe(new NotSupportedException("no")));
}
