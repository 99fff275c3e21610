using System.Globalization;
using System.Text.Json.Nodes;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class PerplexityCommandTests
{
    private static readonly string Text = TestData.Committed("demo", "heldout.txt");

    [TestMethod]
    public async Task Perplexity_HeldOutText_IsTransformers()
    {
        var result = JsonNode.Parse((await CommandLine.RunAsync("perplexity", "--text", Text, "--window", "512", "--device", "cpu", "--json")).Text)!;
        double expected = TestData.Json(TestData.Committed("demo", "golden.json")).GetProperty("heldout").GetProperty("ppl_fp16").GetDouble();
        Assert.AreEqual(expected, result["perplexity"]!.GetValue<double>(), 1e-3 * expected);
        Assert.AreEqual(Math.Log(expected), result["mean_nll"]!.GetValue<double>(), 1e-3);
        Assert.AreEqual(19840, result["num_tokens"]!.GetValue<int>());
        Assert.AreEqual(39, result["num_windows"]!.GetValue<int>());
        Assert.IsTrue(result["tokens_per_second"]!.GetValue<double>() > 0);
    }

    [TestMethod]
    public async Task Perplexity_Stride_SeesMoreAndForetellsBetter()
    {
        string text = (await File.ReadAllTextAsync(Text))[..3000];
        double apart = await Measure("--window", "64"), overlapping = await Measure("--window", "64", "--stride", "16");
        Assert.IsTrue(overlapping < apart, $"{overlapping}, {apart}");

        async Task<double> Measure(params string[] options)
        {
            var result = await CommandLine.RunWithInputAsync(text, ["perplexity", "--text", "-", "--device", "cpu", "--json", .. options]);
            return JsonNode.Parse(result.Text)!["perplexity"]!.GetValue<double>();
        }
    }

    [TestMethod]
    public async Task Perplexity_Table_HasTheFigures()
    {
        string text = (await CommandLine.RunWithInputAsync("Once upon a time there was a king.", "perplexity", "--text", "-", "--device", "cpu")).Text;
        foreach (string column in (string[])["tokens", "windows", "mean NLL", "perplexity", "tok/s"])
            StringAssert.Contains(text, column);
        StringAssert.Contains(text, 9.ToString(CultureInfo.InvariantCulture));
    }

    [TestMethod]
    public async Task Perplexity_BadInput_FailsInALine()
    {
        (await CommandLine.RunAsync("perplexity")).AssertError(2, "--text");
        (await CommandLine.RunAsync("perplexity", "--text", "/no/such.txt")).AssertError(1, "/no/such.txt");
        (await CommandLine.RunAsync("perplexity", "--text", "-", "--device", "cpu")).AssertError(2, "--text: has 0 tokens, at least 1 are needed");
        (await CommandLine.RunAsync("perplexity", "--text", Text, "--device", "cpu", "--window", "1024")).AssertError(2, "--window: 1024 must be in [2, 1023]: max-model-len is 1024");
        (await CommandLine.RunAsync("perplexity", "--text", Text, "--device", "cpu", "--window", "8", "--stride", "8")).AssertError(2, "--stride: 8 must be in [1, 7]");
        (await CommandLine.RunAsync("perplexity", "--text", Text, "--device", "cpu", "--model", TestData.Committed("zoo", "llama-gqa"))).AssertError(2, "has no tokenizer");
    }

    [TestMethod]
    public async Task Perplexity_NotUtf8_IsSaid()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, [0x61, 0xff, 0xfe]);
            (await CommandLine.RunAsync("perplexity", "--text", file)).AssertError(1, $"{file}: not UTF-8");
        }
        finally
        {
            File.Delete(file);
        }
    }
}
