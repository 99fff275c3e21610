using System.Text;
using System.Text.Json;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class GenerateCommandTests
{
    private static readonly string[] Short = ["generate", "--device", "cpu", "--seed", "1", "--max-tokens", "4", "--ignore-eos"];

    [TestMethod]
    public async Task Generate_OnePrompt_PrintsGoldenTextAlone()
    {
        var golden = DemoGolden.First;
        var result = await CommandLine.RunAsync(["generate", golden.Text, .. DemoGolden.Options]);
        Assert.AreEqual(golden.GreedyText, result.Text.Trim());
        StringAssert.EndsWith(result.Out, "\n");
    }

    [TestMethod]
    public async Task Generate_JsonOfTexts_GivesGoldenTokensInOrder()
    {
        // The last text, of 401 tokens, begins within a word and exists as ids only.
        var goldens = DemoGolden.All.Where(g => g.Text.Length > 0 && g.Ids.Length < 100).ToArray();
        var result = await CommandLine.RunAsync(["generate", .. goldens.Select(g => g.Text), .. DemoGolden.Options, "--json"]);
        _ = result.Text;
        Assert.AreEqual(goldens.Length, result.Lines.Length);
        for (int i = 0; i < goldens.Length; i++)
            AssertGolden(goldens[i], result.Lines[i], goldens[i].Text);
    }

    [TestMethod]
    public async Task Generate_JsonOfIds_GivesGoldenTokens()
    {
        string[] ids = [.. DemoGolden.All.SelectMany(g => new[] { "--prompt-ids", string.Join(',', g.Ids) })];
        var result = await CommandLine.RunAsync(["generate", .. ids, .. DemoGolden.Options, "--json"]);
        _ = result.Text;
        for (int i = 0; i < DemoGolden.All.Length; i++)
            AssertGolden(DemoGolden.All[i], result.Lines[i], null);
    }

    [TestMethod]
    public async Task Generate_EmptyPrompt_IsBosAlone()
    {
        var golden = DemoGolden.All.Single(g => g.Ids.Length == 1);
        var result = await CommandLine.RunAsync(["generate", "", .. DemoGolden.Options, "--json"]);
        _ = result.Text;
        AssertGolden(golden, result.Lines.Single(), "");
    }

    [TestMethod]
    public async Task Generate_JsonWithN_ReportsEachCompletionAndUsage()
    {
        var result = await CommandLine.RunAsync([.. Short, "--json", "--n", "3", "Zoë \"said\""]);
        StringAssert.Contains(result.Text, "Zoë \\\"said\\\"");
        var json = Parse(result.Lines.Single());
        var outputs = json.GetProperty("outputs").EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { 0, 1, 2 }, outputs.Select(o => o.GetProperty("index").GetInt32()).ToArray());
        int numPrompt = json.GetProperty("prompt_token_ids").GetArrayLength();
        var usage = json.GetProperty("usage");
        Assert.AreEqual(numPrompt, usage.GetProperty("prompt_tokens").GetInt32());
        Assert.AreEqual(12, usage.GetProperty("completion_tokens").GetInt32());
        Assert.AreEqual(numPrompt + 12, usage.GetProperty("total_tokens").GetInt32());
    }

    [TestMethod]
    public async Task Generate_StopTextAndStopToken_GiveTheirReasons()
    {
        var golden = DemoGolden.First;
        string[] args = ["generate", golden.Text, .. DemoGolden.Options, "--json"];
        var text = Parse((await CommandLine.RunAsync([.. args, "--stop", "daughter"])).Lines.Single()).GetProperty("outputs")[0];
        Assert.AreEqual(("stop", "daughter"), (text.GetProperty("finish_reason").GetString(), text.GetProperty("stop_reason").GetString()));
        Assert.AreEqual(golden.GreedyText[..golden.GreedyText.IndexOf("daughter", StringComparison.Ordinal)].Trim(), text.GetProperty("text").GetString()!.Trim());
        int third = golden.Greedy[2];
        var token = Parse((await CommandLine.RunAsync([.. args, "--stop-token-ids", $"4000,{third}"])).Lines.Single()).GetProperty("outputs")[0];
        Assert.AreEqual(("stop", third), (token.GetProperty("finish_reason").GetString(), token.GetProperty("stop_reason").GetInt32()));
    }

    [TestMethod]
    public async Task Generate_SameSeed_GivesTheSameText()
    {
        string[] args = ["generate", "The wolf", "--device", "cpu", "--max-tokens", "12", "--seed"];
        string first = (await CommandLine.RunAsync([.. args, "-7"])).Text;
        Assert.AreEqual(first, (await CommandLine.RunAsync([.. args, "-7", "--block-size", "1", "--max-num-batched-tokens", "2", "--threads", "1"])).Text);
        Assert.AreNotEqual(first, (await CommandLine.RunAsync([.. args, "-8"])).Text);
    }

    [TestMethod]
    public async Task Generate_SeveralPromptsAndCompletions_AreHeaded()
    {
        var result = await CommandLine.RunAsync([.. Short, "--n", "2", "Once", "--prompt-ids", "1,3035,601"]);
        var headings = result.Text.Split('\n').Where(line => line.StartsWith("==>", StringComparison.Ordinal)).ToArray();
        CollectionAssert.AreEqual(new[] { "==> 1.1: Once <==", "==> 1.2: Once <==", "==> 2.1: [1,3035,601] <==", "==> 2.2: [1,3035,601] <==" }, headings);
    }

    [TestMethod]
    public async Task Generate_PromptsFromStandardInput_SkipsBlankLines()
    {
        var result = await CommandLine.RunWithInputAsync("The king\r\n\n  \nÄ queen", [.. Short, "--json", "--prompts", "-"]);
        _ = result.Text;
        CollectionAssert.AreEqual(new[] { "The king", "Ä queen" }, result.Lines.Select(line => Parse(line).GetProperty("prompt").GetString()).ToArray());
    }

    [TestMethod]
    public async Task Generate_PromptsFromFile_ComeAfterArguments()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "from file\n", new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
            var result = await CommandLine.RunAsync([.. Short, "--json", "argument", "--prompts", file, "--prompt-ids", "1"]);
            _ = result.Text;
            CollectionAssert.AreEqual(new[] { "argument", "from file", null }, result.Lines.Select(line => Parse(line).GetProperty("prompt").GetString()).ToArray());
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestMethod]
    public async Task Generate_PromptsThatLookLikeOptions_WorkAfterTwoDashes()
    {
        var result = await CommandLine.RunAsync([.. Short, "--json", "@home", "/h", "--", "--json", "-5 degrees"]);
        _ = result.Text;
        CollectionAssert.AreEqual(new[] { "@home", "/h", "--json", "-5 degrees" },
            result.Lines.Select(line => Parse(line).GetProperty("prompt").GetString()).ToArray());
    }

    [TestMethod]
    public async Task Generate_Stats_GoToStderrAlone()
    {
        foreach (string[] prompts in (string[][])[["Once"], ["Once", "Twice"]])
        {
            var result = await CommandLine.RunAsync([.. Short, "--stats", .. prompts]);
            Assert.AreEqual(0, result.ExitCode);
            CollectionAssert.AreEqual(new[] { "model", "load", "prefill", "decode", "memory" },
                result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]).ToArray());
            StringAssert.Matches(result.Error, new(@"prefill +\d+ tokens, [\d,.]+ tokens/s, TTFT [\d,.]+ ms"));
            StringAssert.Matches(result.Error, new($@"decode +{3 * prompts.Length} tokens, [\d,.]+ tokens/s, [\d,.]+ GB/s of weights read"));
            StringAssert.Matches(result.Error, new(@"memory +weights 16\.0 MiB, workspace .+, KV cache .+, process peak [\d,.]+ [MG]iB"));
            Assert.IsFalse(result.Out.Contains("tokens/s", StringComparison.Ordinal));
        }
    }

    [TestMethod]
    public async Task Generate_NoMaxTokens_StopsAfterTheDocumentedDefault()
    {
        var result = await CommandLine.RunAsync("generate", "Once", "--device", "cpu", "--ignore-eos", "--seed", "3", "--json");
        Assert.AreEqual(256, Parse(result.Lines.Single()).GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [TestMethod]
    public async Task Generate_DummyWeights_NeedNoCheckpoint()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            File.Copy(Path.Combine(DemoModel.DemoModelFolder.FullPath, "config.json"), Path.Combine(folder, "config.json"));
            var result = await CommandLine.RunAsync([.. Short, "--json", "--model", folder, "--load-format", "dummy", "--prompt-ids", "1,2,3"]);
            _ = result.Text;
            Assert.AreEqual(4, Parse(result.Lines.Single()).GetProperty("outputs")[0].GetProperty("token_ids").GetArrayLength());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void AssertGolden(DemoGolden golden, string line, string? prompt)
    {
        var json = Parse(line);
        CollectionAssert.AreEqual(new[] { "prompt", "prompt_token_ids", "outputs", "usage" }, json.EnumerateObject().Select(p => p.Name).ToArray());
        Assert.AreEqual(prompt, json.GetProperty("prompt").GetString());
        CollectionAssert.AreEqual(golden.Ids, Ints(json.GetProperty("prompt_token_ids")));
        var output = json.GetProperty("outputs")[0];
        CollectionAssert.AreEqual(new[] { "index", "text", "token_ids", "finish_reason", "stop_reason" }, output.EnumerateObject().Select(p => p.Name).ToArray());
        CollectionAssert.AreEqual(golden.Greedy, Ints(output.GetProperty("token_ids")));
        Assert.AreEqual(golden.GreedyText.Trim(), output.GetProperty("text").GetString()!.Trim());
        Assert.AreEqual("length", output.GetProperty("finish_reason").GetString());
        Assert.AreEqual(JsonValueKind.Null, output.GetProperty("stop_reason").ValueKind);
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
