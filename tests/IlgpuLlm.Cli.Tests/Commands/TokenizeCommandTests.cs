using System.Text.Json;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class TokenizeCommandTests
{
    [TestMethod]
    public async Task Tokenize_GoldenTexts_GivesGoldenIds()
    {
        var goldens = DemoGolden.All.Where(g => g.Ids.Length < 100).ToArray();
        var result = await CommandLine.RunAsync(["tokenize", .. goldens.Select(g => g.Text)]);
        CollectionAssert.AreEqual(goldens.Select(g => $"[{string.Join(',', g.Ids)}]").ToArray(), result.Text.TrimEnd().Split('\n'));
    }

    [TestMethod]
    public async Task Tokenize_NoBos_LeavesItOut() => Assert.AreEqual("[3035,601,261,557]\n", (await CommandLine.RunAsync("tokenize", "Once upon a time", "--no-bos")).Text);

    [TestMethod]
    public async Task Tokenize_DecodeOfArguments_GivesJsonStrings() =>
        Assert.AreEqual("\"Once upon a time\"\n\"\"\n", (await CommandLine.RunAsync("tokenize", "--decode", "1,3035,601,261,557", "[ 1, 2 ]")).Text);

    [TestMethod]
    public async Task Tokenize_JsonLinesThereAndBack_GivesTheSameTexts()
    {
        string[] texts = ["Once upon", " two  spaces\nand a line", "日本語 é 😀", "tab\tquote\" \\ \u0001", ""];
        string lines = string.Concat(texts.Select(text => JsonSerializer.Serialize(text) + "\n"));
        var ids = await CommandLine.RunWithInputAsync(lines, "tokenize", "--jsonl", "-");
        var back = await CommandLine.RunWithInputAsync(ids.Text, "tokenize", "--decode", "--jsonl", "-");
        CollectionAssert.AreEqual(texts, back.Text.TrimEnd('\n').Split('\n').Select(line => JsonSerializer.Deserialize<string>(line)).ToArray());
        StringAssert.Contains(back.Out, "日本語 é");
    }

    [TestMethod]
    public async Task Tokenize_OnlyTokenizerInFolder_NeedsNoWeights()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            File.Copy(Path.Combine(DemoModel.DemoModelFolder.FullPath, "tokenizer.model"), Path.Combine(folder, "tokenizer.model"));
            Assert.AreEqual("[1,3035,601,261,557]\n", (await CommandLine.RunAsync("tokenize", "Once upon a time", "--model", folder)).Text);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public async Task Tokenize_NothingToDo_IsAUsageError() => (await CommandLine.RunAsync("tokenize")).AssertError(2, "--jsonl");

    [TestMethod]
    public async Task Tokenize_NoBosWithDecode_IsAUsageError() => (await CommandLine.RunAsync("tokenize", "--decode", "--no-bos", "1")).AssertError(2, "--no-bos");

    [TestMethod]
    public async Task Tokenize_DecodeOfText_IsAUsageError() => (await CommandLine.RunAsync("tokenize", "--decode", "Once")).AssertError(2, "'Once'");

    [TestMethod]
    public async Task Tokenize_DecodeOfUnknownId_Fails() => (await CommandLine.RunAsync("tokenize", "--decode", "1,4096")).AssertError(1, "4096", "4095");

    [TestMethod]
    public async Task Tokenize_NoTokenizer_NamesTheFolder()
    {
        string folder = TestData.Committed("zoo", "llama-gqa");
        (await CommandLine.RunAsync("tokenize", "x", "--model", folder)).AssertError(1, folder, "tokenizer.json");
    }

    [TestMethod]
    [DataRow("", "the path is empty")]
    [DataRow("/dev/null", "/dev/null: is a file, must be a folder")]
    [DataRow("/no/such/folder", "/no/such/folder: no such folder")]
    public async Task Tokenize_NotAFolder_SaysWhy(string model, string message) =>
        (await CommandLine.RunAsync("tokenize", "x", "--model", model)).AssertError(1, message);

    [TestMethod]
    [DataRow("Once")]
    [DataRow("null")]
    [DataRow("[1]")]
    [DataRow("")]
    [DataRow("\"\\ud800\"")]
    public async Task Tokenize_BadJsonLine_NamesTheLine(string line)
    {
        var result = await CommandLine.RunWithInputAsync("\"fine\"\n" + line + "\n", "tokenize", "--jsonl", "-");
        Assert.AreEqual((1, "error: standard input: line 2 is not a JSON string\n"), (result.ExitCode, result.Error));
    }
}
