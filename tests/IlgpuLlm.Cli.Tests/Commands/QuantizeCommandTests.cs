using System.Text.Json.Nodes;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class QuantizeCommandTests
{
    private static readonly string[] Small = ["--group-size", "32", "--device", "cpu", "--calibration-sequences", "12", "--calibration-len", "64"];

    private string _folder = "";

    private string Output => Path.Combine(_folder, "out");

    private static string Model => TestData.Committed("zoo", "llama-gqa");

    [TestInitialize]
    public void Create() => _folder = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;

    [TestCleanup]
    public void Delete() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    public async Task Quantize_TinyModel_LoadsAndGenerates()
    {
        string text = (await CommandLine.RunAsync(["quantize", "--model", Model, "--out", Output, .. Small])).Text;
        StringAssert.StartsWith(text, $"{Output}: awq, 4 bits, groups of 32, 0.1 MB, calibrated on ");
        StringAssert.Contains((await CommandLine.RunAsync("info", "--model", Output, "--device", "cpu")).Text, "int4, groups of 32, awq");
        var result = JsonNode.Parse((await Generate(Output)).Lines[0])!;
        Assert.AreEqual(6, result["outputs"]![0]!["token_ids"]!.AsArray().Count);
    }

    [TestMethod]
    public async Task Quantize_Rtn_GeneratesWhatQuantizationAtLoadDoes()
    {
        string text = (await CommandLine.RunAsync("quantize", "--model", Model, "--out", Output, "--method", "rtn", "--bits", "8", "--group-size", "64")).Text;
        StringAssert.Contains(text, "rtn, 8 bits, groups of 64");
        StringAssert.Contains(text, "; the MLP is 32 zeros wider, a multiple of the group size");
        Assert.AreEqual((await Generate(Model)).Out, (await Generate(Output)).Out, "8 bits change no greedy token of these");
    }

    [TestMethod]
    public async Task Quantize_CalibrationFile_IsRead()
    {
        string file = Path.Combine(_folder, "text.txt");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(TestData.Committed("demo", "heldout.txt")))[..4000]);
        string[] options = ["--group-size", "32", "--device", "cpu", "--calibration-sequences", "4", "--calibration-len", "128"];
        StringAssert.Contains((await CommandLine.RunAsync(["quantize", "--out", Output, "--calibration", file, .. options])).Text, "calibrated on 512 tokens");
    }

    [TestMethod]
    public async Task Quantize_WrongUsage_IsNamed()
    {
        (await CommandLine.RunAsync("quantize")).AssertError(2, "--out");
        (await CommandLine.RunAsync("quantize", "--out", Output, "--method", "gptq")).AssertError(2, "--method: gptq is not supported; supported: awq, rtn");
        (await CommandLine.RunAsync("quantize", "--out", Output, "--bits", "8")).AssertError(2, "--method: awq cannot have 8 bits");
        (await CommandLine.RunAsync("quantize", "--out", Output, "--group-size", "48")).AssertError(2, "--group-size: 48 is not supported");
        (await CommandLine.RunAsync("quantize", "--out", Output, "--method", "rtn", "--calibration", "x")).AssertError(2, "--calibration has no meaning with --method rtn");
        (await CommandLine.RunAsync(["quantize", "--model", Model, "--out", Output, "--device", "tpu", .. Small[..2]])).AssertError(2, "'tpu' is not a device");
    }

    [TestMethod]
    public async Task Quantize_WhatCannotBeDone_FailsInALine()
    {
        (await CommandLine.RunAsync("quantize", "--model", "/no/such", "--out", Output)).AssertError(1, "no such folder");
        (await CommandLine.RunAsync("quantize", "--model", Model, "--out", Model)).AssertError(1, "must be an empty folder or not exist");
        (await CommandLine.RunAsync("quantize", "--model", Model, "--out", Output, "--group-size", "128", "--method", "rtn")).AssertError(1, "hidden_size: 64, must be a multiple of 128");
        (await CommandLine.RunAsync("quantize", "--out", Output, "--calibration", "/no/such.txt")).AssertError(1, "/no/such.txt");
        (await CommandLine.RunWithInputAsync("Too short.", "quantize", "--out", Output, "--calibration", "-")).AssertError(1, "calibration: the text has 4 tokens, at least 512 are needed");
        Assert.IsFalse(Directory.Exists(Output));
    }

    private static Task<CommandLineResult> Generate(string model) =>
        CommandLine.RunAsync("generate", "--model", model, "--device", "cpu", "--prompt-ids", "1,17,200,5", "--max-tokens", "6", "--temperature", "0", "--ignore-eos", "--json");
}
