using IlgpuLlm.Execution;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

[TestClass]
public sealed class EngineBadInputTests
{
    private static readonly string Zoo = TestData.Committed("zoo", "llama-gqa");

    [TestMethod]
    public void Load_UnsupportedArchitecture_NamesItAndThoseSupported()
    {
        using var model = new TempModel("llama-gqa", ("architectures", new System.Text.Json.Nodes.JsonArray("FalconForCausalLM")));
        var error = Assert.ThrowsExactly<CheckpointException>(() => LLM.Inspect(new EngineOptions { Model = model.Folder }));
        StringAssert.Contains(error.Message, "FalconForCausalLM");
        StringAssert.Contains(error.Message, "LlamaForCausalLM, MistralForCausalLM");
        StringAssert.Contains(error.Message, model.ConfigFile);
    }

    [TestMethod]
    [DataRow("llama-gqa", "awq", "awq needs a checkpoint that is quantized by it")]
    [DataRow("llama-gqa", "gptq", "gptq needs a checkpoint that is quantized by it")]
    [DataRow("llama-awq-g32", "gptq", "gptq was requested")]
    [DataRow("llama-gptq-g32", "awq", "says gptq of 4 bits")]
    [DataRow("llama-gptq-g32", "int8", "int8 was requested")]
    public void Load_AnotherQuantizationThanTheCheckpoints_NamesBoth(string model, string quantization, string message)
    {
        var options = new EngineOptions { Model = TestData.Committed("zoo", model), Device = "cpu", Quantization = quantization };
        var error = Assert.ThrowsExactly<InvalidOptionException>(() => LLM.Inspect(options));
        Assert.AreEqual("quantization", error.Option);
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(error.Message, "config.json");
    }

    [TestMethod]
    [DataRow("metal", "'metal' is not supported")]
    [DataRow("tpu", "'tpu' is not a device")]
    [DataRow("cuda:x", "'cuda:x' is not a device")]
    [DataRow("cuda:999", "'cuda:999': this machine has")]
    public void Load_UnknownDevice_NamesThoseSupported(string device, string message)
    {
        var error = Assert.ThrowsExactly<InvalidOptionException>(() => LLM.Inspect(new EngineOptions { Model = Zoo, Device = device }));
        Assert.AreEqual("device", error.Option);
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(error.Message, "supported: auto, cpu, cuda, cuda:N, ilgpu-cpu");
    }

    [TestMethod]
    public void Validate_OptionsOutOfRange_NameOptionValueAndLimit()
    {
        var options = new EngineOptions { Model = Zoo, Device = "cpu" };
        Refused(options with { DType = "bfloat16" }, "dtype: bfloat16 is not supported; supported: auto, float32, float16, int4, int8");
        Refused(options with { Quantization = "fp8" }, "quantization: fp8 is not supported; supported: auto, awq, gptq, int4, int8");
        Refused(options with { DType = "int4", Quantization = "int8" }, "quantization: int8 contradicts dtype int4");
        Refused(options with { LoadFormat = "pt" }, "load-format: pt is not supported; supported: auto, dummy");
        Refused(options with { BlockSize = 0 }, "block-size: 0 must be in [1, 256]");
        Refused(options with { MaxNumSeqs = 0 }, "max-num-seqs: 0 must be in");
        Refused(options with { MaxNumBatchedTokens = 0 }, "max-num-batched-tokens: 0 must be in");
        Refused(options with { GpuMemoryUtilization = double.NaN }, "gpu-memory-utilization: NaN must be in (0, 1]");
        Refused(options with { NumThreads = -1 }, "threads: -1 must be in");
        Refused(options with { MaxModelLen = 257 }, "max-model-len: 257 exceeds what the model allows, 256");
    }

    [TestMethod]
    public void Load_CacheSmallerThanMaxModelLen_NamesThePlanAndTheLargestLength()
    {
        var error = Assert.ThrowsExactly<ModelDoesNotFitException>(() => LLM.Inspect(new EngineOptions { Model = Zoo, Device = "cpu", MaxModelLen = 200, NumBlocksOverride = 10 }));
        StringAssert.Contains(error.Message, "cannot hold one sequence of max-model-len 200 tokens; the largest that fits is 160");
        StringAssert.Contains(error.Message, "weights 0.");
        Assert.AreEqual(160, LLM.Inspect(new EngineOptions { Model = Zoo, Device = "cpu", NumBlocksOverride = 10 }).Memory.MaxModelLen);
    }

    [TestMethod]
    public void Load_WorkspaceBeyondMemory_NamesALargestSettingThatFits()
    {
        using var model = new TempModel("llama-gqa", ("intermediate_size", 4_000_000), ("num_hidden_layers", 1));
        var options = new EngineOptions { Model = model.Folder, Device = "cpu", LoadFormat = "dummy", MaxNumBatchedTokens = 1 << 20 };
        var error = Assert.ThrowsExactly<ModelDoesNotFitException>(() => LLM.Inspect(options));
        var match = System.Text.RegularExpressions.Regex.Match(error.Message, "max-num-batched-tokens 1048576 would have to be at most (\\d+)");
        Assert.IsTrue(match.Success, error.Message);
        int fits = int.Parse(match.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);
        // Free memory moves while the tests run, so a tenth less must fit.
        LLM.Inspect(options with { MaxNumBatchedTokens = (int)(fits * 0.9) });
    }

    [TestMethod]
    public void Load_MoreThanArraysHold_IsRefusedWithTheLimit()
    {
        using var model = new TempModel("llama-gqa", ("max_position_embeddings", 1 << 16));
        Refused(new EngineOptions { Model = model.Folder, Device = "cpu", BlockSize = 1, MaxNumSeqs = 1 << 16 }, "max-num-seqs: 65536 is too many");
        using var longest = new TempModel("llama-gqa", ("max_position_embeddings", 1 << 28));
        Refused(new EngineOptions { Model = longest.Folder, Device = "cpu" }, "max-model-len: 268435456 is more than");
    }

    [TestMethod]
    [DataRow(1L << 50, null)]
    [DataRow(null, 100_000_000)]
    public void Load_CacheBeyondMemory_NamesThePlanAndTheLargestThatFits(long? bytes, int? numBlocks)
    {
        var options = new EngineOptions { Model = Zoo, Device = "cpu", KvCacheMemoryBytes = bytes, NumBlocksOverride = numBlocks };
        var error = Assert.ThrowsExactly<ModelDoesNotFitException>(() => LLM.Inspect(options));
        var match = System.Text.RegularExpressions.Regex.Match(error.Message, "the largest that does has (\\d+) blocks");
        Assert.IsTrue(match.Success, error.Message);
        int fits = int.Parse(match.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);
        LLM.Inspect(options with { KvCacheMemoryBytes = null, NumBlocksOverride = (int)(fits * 0.9) });
    }

    [TestMethod]
    public void Load_TokenizerLargerThanTheModel_IsRefusedWithBothSizes()
    {
        using var model = new TempModel("llama-gqa");
        foreach (string file in (string[])["tokenizer.model", "tokenizer_config.json"])
            File.Copy(Path.Combine(DemoModel.DemoModelFolder.FullPath, file), Path.Combine(model.Folder, file));
        var error = Assert.ThrowsExactly<CheckpointException>(() => LLM.Inspect(new EngineOptions { Model = model.Folder, Device = "cpu" }));
        StringAssert.Contains(error.Message, "vocabulary: 4096 tokens, more than config.json's vocab_size, 256");
    }

    [TestMethod]
    public void Generate_NoTokenizer_TakesTokensAndRefusesText()
    {
        using var llm = new LLM(new EngineOptions { Model = Zoo, Device = "cpu" });
        StringAssert.Contains(Assert.ThrowsExactly<InvalidRequestException>(() => llm.Generate("text")).Message, "has no tokenizer");
        Assert.ThrowsExactly<InvalidRequestException>(() => llm.Generate(Prompt.FromTokens([1]), new SamplingParams { Stop = ["x"] }));
        Assert.AreEqual("", llm.Generate(Prompt.FromTokens([1])).Outputs[0].Text);
    }

    [TestMethod]
    public void Load_DummyWeights_RunFromConfigAlone()
    {
        using var model = new TempModel("llama-gqa");
        File.Delete(Path.Combine(model.Folder, "model.safetensors"));
        var options = new EngineOptions { Model = model.Folder, Device = "cpu", LoadFormat = "dummy" };
        using var first = new LLM(options);
        using var second = new LLM(options);
        var sampling = new SamplingParams { Temperature = 0, IgnoreEos = true };
        int[] tokens = [.. first.Generate(Prompt.FromTokens([1, 2]), sampling).Outputs[0].TokenIds];
        Assert.AreEqual(16, tokens.Length);
        CollectionAssert.AreEqual(tokens, second.Generate(Prompt.FromTokens([1, 2]), sampling).Outputs[0].TokenIds.ToArray());
    }

    private static void Refused(EngineOptions options, string message) =>
        StringAssert.StartsWith(Assert.ThrowsExactly<InvalidOptionException>(() => LLM.Inspect(options)).Message, message);
}
