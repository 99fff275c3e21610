namespace IlgpuLlm.Tests;

[TestClass]
public sealed class LLMTests
{
    private static readonly SamplingParams Greedy = new() { Temperature = 0, MaxTokens = 12, IgnoreEos = true };
    private static LLM _llm = null!;

    [ClassInitialize]
    public static void Load(TestContext _) => _llm = new LLM(new EngineOptions { Device = "cpu" });

    [ClassCleanup]
    public static void Unload() => _llm.Dispose();

    [TestMethod]
    public void Generate_ManyPrompts_AnswersInOrderWithProgress()
    {
        var counts = new List<int>();
        var progress = new Counter(counts);
        var outputs = _llm.Generate((Prompt[])["Once upon a time", "The old king said", "Alice was"], Greedy, progress);
        CollectionAssert.AreEqual(new[] { 1, 2, 3 }, counts);
        Assert.AreEqual("The old king said", outputs[1].Prompt);
        Assert.IsTrue(outputs.All(o => o.Finished && o.Outputs[0].TokenIds.Count == 12 && o.Outputs[0].FinishReason == FinishReason.Length));
        Assert.AreEqual(_llm.Generate("Alice was", Greedy).Outputs[0].Text, outputs[2].Outputs[0].Text);
        Assert.IsTrue(outputs[0].Metrics.TimeToFirstToken > 0);
    }

    [TestMethod]
    public void Generate_NoParameters_UsesGenerationConfig()
    {
        var options = new EngineOptions { Device = "cpu", Seed = 5, NumBlocksOverride = 64 };
        using LLM implicitly = new(options), explicitly = new(options);
        CollectionAssert.AreEqual(
            explicitly.Generate("Once upon a time", new SamplingParams { Temperature = 0.8f, TopP = 0.95f }).Outputs[0].TokenIds.ToArray(),
            implicitly.Generate("Once upon a time").Outputs[0].TokenIds.ToArray());
        Assert.AreEqual((0.8f, 0.95f), (_llm.DefaultSamplingParams.Temperature, _llm.DefaultSamplingParams.TopP));
        Assert.AreEqual(16, _llm.Generate("Once upon a time", _llm.DefaultSamplingParams with { IgnoreEos = true }).Outputs[0].TokenIds.Count);
    }

    [TestMethod]
    public void Generate_NCompletions_DifferAndAreReproducible()
    {
        var sampling = new SamplingParams { N = 3, Seed = 7, MaxTokens = 10, IgnoreEos = true };
        var first = _llm.Generate("Once", sampling).Outputs;
        var second = _llm.Generate("Once", sampling).Outputs;
        CollectionAssert.AreEqual(first.Select(o => o.Text).ToArray(), second.Select(o => o.Text).ToArray());
        Assert.AreEqual(3, first.Select(o => o.Text).Distinct().Count());
        Assert.AreEqual(_llm.Generate("Once", sampling with { N = 1, Seed = 8 }).Outputs[0].Text, first[1].Text, "completion i uses seed + i");
    }

    [TestMethod]
    public void Generate_StopString_EndsBeforeIt()
    {
        string text = _llm.Generate("Once upon a time", Greedy).Outputs[0].Text;
        string stop = text.Substring(text.Length / 2, 3);
        var output = _llm.Generate("Once upon a time", Greedy with { Stop = [stop] }).Outputs[0];
        Assert.AreEqual(text[..text.IndexOf(stop, StringComparison.Ordinal)], output.Text);
        Assert.AreEqual((FinishReason.Stop, (object)stop), (output.FinishReason!.Value, output.StopReason!));
        var included = _llm.Generate("Once upon a time", Greedy with { Stop = [stop], IncludeStopStrInOutput = true }).Outputs[0];
        Assert.AreEqual(output.Text + stop, included.Text);
        Assert.AreEqual(_llm.Core.Scheduler.NumFreeBlocks, _llm.Info.Memory.NumBlocks);
    }

    [TestMethod]
    public void Generate_StopToken_IsInTheTokensButNotInTheText()
    {
        var all = _llm.Generate("Once upon a time", Greedy).Outputs[0];
        int stop = all.TokenIds[5];
        var output = _llm.Generate("Once upon a time", Greedy with { StopTokenIds = [stop] }).Outputs[0];
        int length = all.TokenIds.ToList().IndexOf(stop) + 1;
        CollectionAssert.AreEqual(all.TokenIds.Take(length).ToArray(), output.TokenIds.ToArray());
        Assert.AreEqual(stop, output.StopReason);
        StringAssert.StartsWith(all.Text, output.Text);
        Assert.IsTrue(output.Text.Length < all.Text.Length);
    }

    [TestMethod]
    public void Generate_Logprobs_AgreeWithTheChosenTokens()
    {
        var output = _llm.Generate("Once upon a time", Greedy with { Logprobs = 3, PromptLogprobs = 1 });
        Assert.AreEqual(output.PromptTokenIds.Count - 1, output.PromptLogprobs!.Count);
        for (int i = 1; i < output.PromptTokenIds.Count; i++)
            Assert.AreEqual(output.PromptTokenIds[i], output.PromptLogprobs[i - 1].Chosen.TokenId);
        var logprobs = output.Outputs[0].Logprobs!;
        Assert.AreEqual(12, logprobs.Count);
        for (int i = 0; i < logprobs.Count; i++)
        {
            Assert.AreEqual((output.Outputs[0].TokenIds[i], 1), (logprobs[i].Chosen.TokenId, logprobs[i].Chosen.Rank));
            Assert.AreEqual(logprobs[i].Chosen, logprobs[i].Top[0]);
            Assert.IsTrue(logprobs[i].Top.Count == 3 && logprobs[i].Top[0].Value >= logprobs[i].Top[1].Value && logprobs[i].Top[0].Value <= 0);
        }
    }

    [TestMethod]
    public void Generate_EmptyPrompt_IsBosAlone() => CollectionAssert.AreEqual(new[] { 1 }, _llm.Generate("", Greedy).PromptTokenIds.ToArray());

    [TestMethod]
    public void Generate_InvalidRequests_AreRefusedWithTheNumbersAndLeaveNothingBehind()
    {
        Refused(Prompt.FromTokens([]), Greedy, "prompt: is empty");
        Refused(Prompt.FromTokens([1, 4096]), Greedy, "prompt_token_ids: token id 4096 is out of range; the model's vocab_size is 4096");
        Refused(Prompt.FromTokens([1, -1]), Greedy, "prompt_token_ids: token id -1 is out of range");
        Refused(Prompt.FromTokens([.. Enumerable.Repeat(1, 1024)]), Greedy, "prompt: has 1024 tokens; max-model-len is 1024 (the model allows 1024");
        Refused("a", Greedy with { StopTokenIds = [9999] }, "stop_token_ids: token id 9999 is out of range");
        Refused("a", Greedy with { MaxTokens = null, MinTokens = 1024 }, "min_tokens: 1024 exceeds the 1022 tokens");
        Refused("a", Greedy with { Temperature = float.NaN }, "temperature: NaN");
        // One bad prompt among good ones: nothing runs.
        Assert.ThrowsExactly<InvalidRequestException>(() => _llm.Generate([Prompt.FromText("a"), Prompt.FromTokens([5000])], Greedy));
        Assert.IsFalse(_llm.Core.Scheduler.HasUnfinishedRequests);
        Assert.AreEqual(1023, _llm.Generate(Prompt.FromTokens([.. Enumerable.Repeat(5, 1023)]), Greedy).PromptTokenIds.Count);
    }

    [TestMethod]
    public void Generate_MaxTokensBeyondTheContext_StopsAtTheContext()
    {
        var output = _llm.Generate(Prompt.FromTokens([.. Enumerable.Repeat(5, 1015)]), Greedy with { MaxTokens = 500 }).Outputs[0];
        Assert.AreEqual((9, FinishReason.Length), (output.TokenIds.Count, output.FinishReason!.Value));
    }

    [TestMethod]
    public void Generate_Cancelled_FreesAllBlocks()
    {
        using var source = new CancellationTokenSource();
        var progress = new Counter([], source);
        Assert.ThrowsExactly<OperationCanceledException>(() => _llm.Generate(
            Enumerable.Range(1, 20).Select(i => (Prompt.FromText("Once"), (SamplingParams?)(Greedy with { MaxTokens = i * 10 }))), progress, source.Token));
        Assert.IsFalse(_llm.Core.Scheduler.HasUnfinishedRequests);
        Assert.AreEqual(_llm.Core.Scheduler.NumFreeBlocks, _llm.Info.Memory.NumBlocks);
    }

    [TestMethod]
    public void Generate_StopString_BlocksAreFreeWhenTheOutputComes()
    {
        string text = _llm.Generate("Once upon a time", Greedy).Outputs[0].Text;
        var freeBlocks = new List<int>();
        _llm.Generate([Prompt.FromText("Once upon a time")], Greedy with { Stop = [text.Substring(4, 3)] },
            new Counter(freeBlocks, count: () => _llm.Core.Scheduler.NumFreeBlocks));
        CollectionAssert.AreEqual(new[] { (int)_llm.Info.Memory.NumBlocks }, freeBlocks);
    }

    [TestMethod]
    public void Generate_Disposed_SaysSo()
    {
        var llm = new LLM(new EngineOptions { Device = "cpu" });
        llm.Dispose();
        llm.Dispose();
        StringAssert.Contains(Assert.ThrowsExactly<ObjectDisposedException>(() => llm.Generate("Once", Greedy)).ObjectName, nameof(LLM));
    }

    [TestMethod]
    public void Generate_NullPrompt_IsNamed() =>
        Assert.AreEqual("prompt", Assert.ThrowsExactly<ArgumentNullException>(() => _llm.Generate([Prompt.FromText("a"), (Prompt)null!], Greedy)).ParamName);

    private static void Refused(Prompt prompt, SamplingParams sampling, string message) =>
        StringAssert.StartsWith(Assert.ThrowsExactly<InvalidRequestException>(() => _llm.Generate(prompt, sampling)).Message, message);

    private sealed class Counter(List<int> counts, CancellationTokenSource? cancelAtFirst = null, Func<int>? count = null) : IProgress<int>
    {
        public void Report(int value)
        {
            counts.Add(count?.Invoke() ?? value);
            cancelAtFirst?.Cancel();
        }
    }
}
