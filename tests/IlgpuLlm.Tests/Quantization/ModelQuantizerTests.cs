using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using IlgpuLlm.Evaluation;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Quantization;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Quantization;

/// <summary>Tiny random models through the quantizer, and what it wrote through the engine.</summary>
[TestClass]
public sealed class ModelQuantizerTests
{
    private static readonly int[] Ids = [1, 17, 200, 5, 99, 42, 250, 3, 77, 8, 120, 64];

    [TestMethod]
    [DataRow("llama-gqa", 64)]
    [DataRow("llama-gqa-fp16", 32)]
    [DataRow("llama-gqa-bf16-sharded", 32)]
    [DataRow("llama2-mha", 32)]
    [DataRow("llama-mqa", -1)]
    [DataRow("llama-bias", 32)]
    [DataRow("llama-tied", 32)]
    [DataRow("llama-headdim", -1)]
    [DataRow("llama3-rope", 32)]
    [DataRow("llama-rope-dynamic", 32)]
    [DataRow("mistral-window16", 64)]
    public void Run_Awq_IsReadAsItWasMeantAndNearerThanRounding(string model, int groupSize)
    {
        using TempFolder awq = new(), rtn = new();
        var result = ModelQuantizer.Run(Options(model, awq.Path) with { GroupSize = groupSize });
        ModelQuantizer.Run(Options(model, rtn.Path) with { GroupSize = groupSize, Method = "rtn" });
        Assert.IsTrue(result.CalibrationTokens >= 512, $"{result.CalibrationTokens} tokens");
        AssertReadBack(awq.Path, AwqFile.DequantizeAwq);
        AssertReadBack(rtn.Path, AwqFile.DequantizeAwq);
        double searched = Divergence(model, awq.Path), rounded = Divergence(model, rtn.Path);
        Assert.IsTrue(searched < rounded, $"{model}: KL divergence {searched:G4} of awq, {rounded:G4} of rtn");
    }

    [TestMethod]
    public void Run_Progress_GrowsInStepsFinerThanALayer()
    {
        using var folder = new TempFolder();
        var shares = new Shares();
        ModelQuantizer.Run(Options("llama-gqa", folder.Path) with { GroupSize = 32, Progress = shares });
        CollectionAssert.AreEqual(shares.Order().ToList(), shares);
        Assert.AreEqual(1, shares[^1], 1e-9);
        Assert.IsTrue(shares.Zip(shares.Skip(1), (before, next) => next - before).Max() < 0.16, string.Join(' ', shares)); // a layer of two would be 0.425
    }

    [TestMethod]
    public void Run_Rtn_IsWhatQuantizationAtLoadGives()
    {
        using var folder = new TempFolder();
        ModelQuantizer.Run(Options("llama-gqa-fp16", folder.Path) with { Method = "rtn", GroupSize = 32 });
        CollectionAssert.AreEqual(
            Logits(new EngineOptions { Model = TestData.Committed("zoo", "llama-gqa-fp16"), Quantization = "int4" }), Logits(new EngineOptions { Model = folder.Path, Quantization = "int4" }));
        using var llm = new LLM(new EngineOptions { Model = folder.Path, Device = "cpu" });
        Assert.AreEqual(new QuantizationFormat(4, 32), llm.Info.Quantization);
    }

    [TestMethod]
    [DataRow("llama-gqa", 32)]
    [DataRow("llama-bias", -1)]
    public void Run_EightBits_IsSymmetricGptqAndNearTheFloats(string model, int groupSize)
    {
        using var folder = new TempFolder();
        ModelQuantizer.Run(Options(model, folder.Path) with { Method = "rtn", Bits = 8, GroupSize = groupSize });
        AssertReadBack(folder.Path, AwqFile.DequantizeGptq8);
        using var four = new TempFolder();
        ModelQuantizer.Run(Options(model, four.Path) with { Method = "rtn", GroupSize = groupSize });
        Assert.IsTrue(Divergence(model, folder.Path) < Divergence(model, four.Path) / 20);
        using var file = SafetensorsFile.Open(Path.Combine(folder.Path, "model.safetensors"));
        foreach (string module in AwqFile.Modules(file))
        {
            var zeros = file.Tensors[module + ".qzeros"];
            Assert.AreEqual(-1, file.Read(zeros, 0, (int)zeros.ByteLength).IndexOfAnyExcept((byte)127), "128, less one");
        }
    }

    [TestMethod]
    public void Run_GroupsThatDoNotDivideTheMlp_FillItWithZeros()
    {
        using var folder = new TempFolder();
        var result = ModelQuantizer.Run(Options("llama-gqa", folder.Path) with { Method = "rtn", GroupSize = 64 });
        Assert.AreEqual(32, result.PaddedFeatures); // 160 to 192
        Assert.AreEqual(192, Config(folder.Path)["intermediate_size"]!.GetValue<int>());
        using var file = SafetensorsFile.Open(Path.Combine(folder.Path, "model.safetensors"));
        float[] gate = AwqFile.DequantizeAwq(file, "model.layers.0.mlp.gate_proj"), down = AwqFile.DequantizeAwq(file, "model.layers.0.mlp.down_proj");
        Assert.AreEqual(192 * 64, gate.Length);
        Assert.IsTrue(gate.AsSpan(160 * 64).IndexOfAnyExcept(0f) < 0);
        for (int row = 0; row < 64; row++)
            Assert.IsTrue(down.AsSpan(row * 192 + 160, 32).IndexOfAnyExcept(0f) < 0);
    }

    [TestMethod]
    public void Run_Config_SaysWhatOtherEnginesRead()
    {
        using TempFolder awq = new(), gptq = new();
        ModelQuantizer.Run(Options("llama-gqa", awq.Path) with { Method = "rtn", GroupSize = 32 });
        ModelQuantizer.Run(Options("llama3-rope-v5config", gptq.Path) with { Method = "rtn", Bits = 8, GroupSize = 32 });
        var config = Config(awq.Path);
        Assert.AreEqual("float16", config["torch_dtype"]!.GetValue<string>());
        Assert.AreEqual("""{"quant_method":"awq","bits":4,"group_size":32,"version":"gemm","zero_point":true,"modules_to_not_convert":null}""",
            config["quantization_config"]!.ToJsonString());
        Assert.AreEqual(256, config["vocab_size"]!.GetValue<int>());
        config = Config(gptq.Path);
        Assert.AreEqual("float16", config["dtype"]!.GetValue<string>(), "the key that the file had");
        Assert.AreEqual("""{"quant_method":"gptq","bits":8,"group_size":32,"desc_act":false,"sym":true,"lm_head":false,"checkpoint_format":"gptq"}""",
            config["quantization_config"]!.ToJsonString());
    }

    [TestMethod]
    public void Run_Twice_SameBytes()
    {
        using TempFolder one = new(), two = new();
        foreach (string folder in (string[])[one.Path, two.Path])
            ModelQuantizer.Run(Options("llama-gqa", folder));
        foreach (string file in Directory.GetFiles(one.Path))
            CollectionAssert.AreEqual(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(two.Path, Path.GetFileName(file))), file);
    }

    [TestMethod]
    public void Run_DemoModel_CopiesItsTokenizer()
    {
        using var folder = new TempFolder();
        ModelQuantizer.Run(new QuantizeOptions { Output = folder.Path, Method = "rtn" });
        CollectionAssert.IsSubsetOf(
            new[] { "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json" },
            Directory.GetFiles(folder.Path).Select(file => Path.GetFileName(file)).ToArray());
        using var llm = new LLM(new EngineOptions { Model = folder.Path, Device = "cpu" });
        Assert.AreEqual(8, llm.Generate("Once upon a time", new SamplingParams { MaxTokens = 8, IgnoreEos = true }).Outputs[0].TokenIds.Count);
    }

    [TestMethod]
    public void Run_CalibrationText_IsWhatInputsAreMeasuredOn()
    {
        using var folder = new TempFolder();
        string text = File.ReadAllText(TestData.Committed("demo", "heldout.txt"))[..8000];
        var options = new QuantizeOptions { Output = folder.Path, Device = "cpu", CalibrationText = text, CalibrationSequences = 5, CalibrationLength = 110, GroupSize = 32 };
        Assert.AreEqual(5 * 110, ModelQuantizer.Run(options).CalibrationTokens);
    }

    [TestMethod]
    [DoNotParallelize]
    public void Run_IlgpuKernels_AreAsGoodAsTheCpus()
    {
        using TempFolder cpu = new(), ilgpu = new();
        var options = Options("llama-gqa", cpu.Path) with { CalibrationSequences = 1, CalibrationLength = 24 };
        ModelQuantizer.Run(options);
        ModelQuantizer.Run(options with { Output = ilgpu.Path, Device = Golden.GoldenDevice.Ilgpu });
        Assert.AreEqual(Divergence("llama-gqa", cpu.Path), Divergence("llama-gqa", ilgpu.Path), 0.3 * Divergence("llama-gqa", cpu.Path));
    }

    private static QuantizeOptions Options(string model, string output) => new()
    {
        Model = TestData.Committed("zoo", model),
        Output = output,
        GroupSize = 32,
        Device = "cpu",
        CalibrationSequences = 16,
        CalibrationLength = 96,
    };

    private static JsonObject Config(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();

    /// <summary>Our own reader gives, bit for bit, what the formula of the format gives.</summary>
    private static void AssertReadBack(string folder, Func<SafetensorsFile, string, float[]> dequantize)
    {
        string configFile = Path.Combine(folder, "config.json");
        using var checkpoint = Checkpoint.Open(folder, quantization: ModelQuantization.Resolve("auto", ModelConfigReader.Read(configFile), configFile));
        using var file = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        foreach (string module in AwqFile.Modules(file))
        {
            float[] expected = dequantize(file, module);
            int rows = (int)file.Tensors[module + ".scales"].Shape[1];
            var weight = new FakeLinearWeight(rows, expected.Length / rows, hasBias: file.Tensors.ContainsKey(module + ".bias"));
            checkpoint.LoadMatrix([new(module, rows)], weight, 0);
            Assert.IsTrue(MemoryMarshal.AsBytes<float>(expected).SequenceEqual(MemoryMarshal.AsBytes<float>(weight.Values)), module);
        }
        Assert.AreEqual(7 * Config(folder)["num_hidden_layers"]!.GetValue<int>(), AwqFile.Modules(file).Count());
    }

    /// <summary>Of the quantized model from the zoo's, a mean over some random sequences.</summary>
    private static double Divergence(string model, string folder)
    {
        using var exact = new LLM(new EngineOptions { Model = TestData.Committed("zoo", model), Device = "cpu", DType = "float32" });
        using var quantized = new LLM(new EngineOptions { Model = folder, Device = "cpu", DType = "float32" });
        var random = new Random(7);
        return Enumerable.Range(0, 8).Average(_ =>
        {
            int[] ids = [1, .. Enumerable.Range(0, 63).Select(_ => random.Next(250))];
            return new TokenScorer(quantized).KlDivergence(ids, new TokenScorer(exact).LogSoftmax(ids)).Average();
        });
    }

    private static float[] Logits(EngineOptions options)
    {
        using var llm = new LLM(options with { Device = "cpu", DType = options.Quantization == "int4" ? "float16" : "float32" });
        return [.. new TokenScorer(llm).Logits(Ids).SelectMany(row => row)];
    }

    private sealed class Shares : List<double>, IProgress<double>
    {
        public void Report(double value) => Add(value);
    }
}
