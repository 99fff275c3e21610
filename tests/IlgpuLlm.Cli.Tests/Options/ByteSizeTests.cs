using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Tests.Options;

[TestClass]
public sealed class ByteSizeTests
{
    [TestMethod]
    [DataRow("1048576", 1048576L)]
    [DataRow("2GiB", 2147483648L)]
    [DataRow("1.5 MiB", 1572864L)]
    [DataRow("3GB", 3000000000L)]
    [DataRow("16kB", 16000L)]
    [DataRow("-1", -1L)]
    public void Parse_Size_GivesBytes(string text, long bytes) => Assert.AreEqual(bytes, ByteSize.Parse(text));

    [TestMethod]
    [DataRow("")]
    [DataRow("GiB")]
    [DataRow("2G")]
    [DataRow("1,5GiB")]
    [DataRow("1e30")]
    [DataRow("99999999TiB")]
    public void Parse_NotASize_GivesNull(string text) => Assert.IsNull(ByteSize.Parse(text));

    [TestMethod]
    [DataRow(0L, "0 B")]
    [DataRow(1023L, "1023 B")]
    [DataRow(1024L, "1.0 KiB")]
    [DataRow(1610612736L, "1.5 GiB")]
    public void Format_Bytes_TakesTheLargestUnit(long bytes, string text) => Assert.AreEqual(text, ByteSize.Format(bytes));
}
