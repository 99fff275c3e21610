using System.Text.Json.Nodes;
using IlgpuLlm.Evaluation;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

/// <summary>Quantization from the options to the logits.</summary>
[TestClass]
public sealed class QuantizedEngineTests
{
    private const string Model = "llama-gptq-g32";

    private static readonly int[] Ids = [1, 17, 200, 5, 99, 42, 250, 3];

    [TestMethod]
    [DataRow("int8", 0.02)]
    [DataRow("int4", 0.5)]
    public void Logits_QuantizedAtLoad_AreNearThoseOfFloats(string quantization, double tolerance)
    {
        string folder = TestData.Committed("zoo", "llama-gqa");
        float[] exact = Logits(folder, new EngineOptions()), rounded = Logits(folder, new EngineOptions { Quantization = quantization });
        double worst = exact.Zip(rounded, (e, a) => Math.Abs(e - a)).Max(), largest = exact.Max(Math.Abs);
        Assert.IsTrue(worst > 0 && worst <= tolerance * largest, $"{quantization}: logits of up to {largest:F2} differ by {worst:E2}");
    }

    [TestMethod]
    public void Generate_ShortFormOfDType_IsTheSame()
    {
        int[][] outputs = [.. new[] { new EngineOptions { DType = "int4" }, new EngineOptions { Quantization = "int4" } }.Select(options =>
        {
            using var llm = new LLM(options with { Device = "cpu" });
            return llm.Generate("Once upon a time", new SamplingParams { Temperature = 0, MaxTokens = 24 }).Outputs[0].TokenIds.ToArray();
        })];
        CollectionAssert.AreEqual(outputs[0], outputs[1]);
        Assert.AreEqual(24, outputs[0].Length);
    }

    [TestMethod]
    [DataRow("int4")]
    [DataRow("int8")]
    public void Dummy_Quantized_NeedsTheConfigAlone(string quantization)
    {
        using var temp = new TempFolder();
        File.Copy(TestData.Committed("zoo", "llama-gqa", "config.json"), Path.Combine(temp.Path, "config.json"));
        using var llm = new LLM(new EngineOptions { Model = temp.Path, Device = "cpu", LoadFormat = "dummy", Quantization = quantization });
        var output = llm.Generate([(Prompt.FromTokens(Ids), (SamplingParams?)new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = 8 })])[0];
        Assert.AreEqual(8, output.Outputs[0].TokenIds.Count);
    }

    [TestMethod]
    public void Inspect_Quantized_PlansFewerBytes()
    {
        var floats = LLM.Inspect(new EngineOptions { Device = "cpu", DType = "float16" });
        var eight = LLM.Inspect(new EngineOptions { Device = "cpu", DType = "int8", CpuActivations = "fp32" });
        var four = LLM.Inspect(new EngineOptions { Model = DemoModel.DemoModelFolder.FullPath, Device = "cpu", DType = "int4", CpuActivations = "fp32" });
        Assert.IsNull(floats.Quantization);
        Assert.AreEqual(new QuantizationFormat(4, 128), four.Quantization);
        long layers = floats.Memory.WeightBytes - four.Memory.WeightBytes, rest = floats.Memory.WeightBytes - eight.Memory.WeightBytes;
        Assert.AreEqual(1.5, (double)layers / rest, 0.03, "12 bits saved of each weight, and 8");

        var rounded = LLM.Inspect(new EngineOptions { Model = DemoModel.DemoModelFolder.FullPath, Device = "cpu", DType = "int4", CpuActivations = "int8" });
        double table = (double)rounded.Config.VocabSize * rounded.Config.HiddenSize;
        Assert.AreEqual(2 - (1 + 3 / 128.0), (four.Memory.WeightBytes - rounded.Memory.WeightBytes) / table, 0.05, "the output layer in 8 bits, with 3 bytes more for 128, instead of 16");
        Assert.IsTrue(rounded.WeightBytesPerStep < four.WeightBytesPerStep, "a step reads the output layer alone");
    }

    [TestMethod]
    [DataRow("int4")]
    [DataRow("int8")]
    public void Score_ActivationsOf8Bits_LoseLittle(string quantization)
    {
        // What the float model makes of a prompt, so that likely tokens and unlikely ones are among them.
        int[] ids;
        using (var llm = new LLM(new EngineOptions { Device = "cpu" }))
        {
            var output = llm.Generate("Once upon a time", new SamplingParams { Temperature = 1, Seed = 1, MaxTokens = 300, IgnoreEos = true });
            ids = [.. output.PromptTokenIds, .. output.Outputs[0].TokenIds];
        }
        double Nll(string activations)
        {
            using var llm = new LLM(new EngineOptions { Device = "cpu", Quantization = quantization, CpuActivations = activations });
            return -new TokenScorer(llm).Score(ids).Logprobs.Skip(1).Average();
        }
        double floats = Nll("fp32"), bytes = Nll("int8");
        Assert.AreNotEqual(floats, bytes);
        Assert.AreEqual(floats, bytes, 0.02, "mean negative log-probability a token");
    }

    [TestMethod]
    public void Load_ModuleNotConverted_IsOfFloatsAndGoldenStays()
    {
        // One layer's down projection dequantised by hand: other forms, the same weights.
        string folder = TestData.Committed("zoo", Model);
        using var model = Rewritten((builder, checkpoint, config) =>
        {
            const string Module = "model.layers.1.mlp.down_proj";
            var weight = new FakeLinearWeight(config.HiddenSize, config.IntermediateSize);
            checkpoint.LoadMatrix([new(Module, config.HiddenSize)], weight, 0);
            builder.Add($"{Module}.weight", "F32", [config.HiddenSize, config.IntermediateSize], weight.Values);
        }, skip: name => name.StartsWith("model.layers.1.mlp.down_proj.", StringComparison.Ordinal));
        AssertNear(Logits(folder, new EngineOptions()), Logits(model.Folder, new EngineOptions()));
    }

    [TestMethod]
    public void Load_OrdersThatDifferWithinAMatrix_AreDequantizedAndRight()
    {
        // Another division of k_proj's inputs than q_proj's: another model, whose weights in floats are the reference.
        int hidden = 0;
        using var model = Rewritten((builder, _, config) =>
        {
            hidden = config.HiddenSize;
            int[] groups = [.. Enumerable.Range(0, hidden).Select(k => k % (hidden / 32))];
            builder.Add("model.layers.0.self_attn.k_proj.g_idx", "I32", [hidden], groups);
        }, skip: name => name == "model.layers.0.self_attn.k_proj.g_idx");
        using var floats = Widened(model.Folder);
        AssertNear(Logits(floats.Folder, new EngineOptions()), Logits(model.Folder, new EngineOptions()));

        long quantized = LLM.Inspect(new EngineOptions { Model = TestData.Committed("zoo", Model), Device = "cpu" }).Memory.WeightBytes;
        var mixed = LLM.Inspect(new EngineOptions { Model = model.Folder, Device = "cpu" });
        Assert.IsTrue(mixed.Memory.WeightBytes > quantized + hidden * hidden, "the plan counts the matrix of halves");
    }

    [TestMethod]
    public void Load_ActOrder_IsRight()
    {
        using var model = Rewritten((builder, _, config) =>
        {
            foreach (var (part, inputs) in Parts(config))
                builder.Add($"{part.Module}.g_idx", "I32", [inputs], [.. Enumerable.Range(0, inputs).Select(k => k % (inputs / 32))]);
        }, skip: name => name.EndsWith(".g_idx", StringComparison.Ordinal));
        using var floats = Widened(model.Folder);
        AssertNear(Logits(floats.Folder, new EngineOptions()), Logits(model.Folder, new EngineOptions()));
    }

    private static IEnumerable<(MatrixPart Part, int Inputs)> Parts(ModelConfig config)
    {
        foreach (var modules in Enumerable.Range(0, config.NumHiddenLayers).Select(layer => new LayerModules(config, layer)))
        {
            foreach (var part in modules.Qkv.Concat(modules.GateUp))
                yield return (part, config.HiddenSize);
            yield return (modules.Output[0], config.NumAttentionHeads * config.HeadDim);
            yield return (modules.Down[0], config.IntermediateSize);
        }
    }

    /// <summary>The same model with all its codes as floats, and no quantization_config.</summary>
    private static TempModel Widened(string folder) => Rewritten(
        (builder, checkpoint, config) =>
        {
            foreach (var (part, inputs) in Parts(config))
            {
                var weight = new FakeLinearWeight(part.Rows, inputs);
                checkpoint.LoadMatrix([part], weight, 0);
                builder.Add($"{part.Module}.weight", "F32", [part.Rows, inputs], weight.Values);
            }
        },
        skip: name => name.Contains("_proj.", StringComparison.Ordinal), folder, ("quantization_config", null));

    /// <summary>A copy of a checkpoint without some tensors and with others.</summary>
    private static TempModel Rewritten(
        Action<SafetensorsBuilder, Checkpoint, ModelConfig> add, Func<string, bool> skip, string? folder = null, params (string Field, JsonNode? Value)[] changes)
    {
        folder ??= TestData.Committed("zoo", Model);
        var model = new TempModel(Model, changes);
        string configFile = Path.Combine(folder, "config.json");
        var config = ModelConfigReader.Read(configFile);
        var builder = new SafetensorsBuilder();
        using (var file = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors")))
            foreach (var tensor in file.Tensors.Values.Where(tensor => !skip(tensor.Name)))
                builder.Add(tensor.Name, tensor.Type.Name, [.. tensor.Shape], file.Read(tensor, 0, (int)tensor.ByteLength).ToArray());
        using (var checkpoint = Checkpoint.Open(folder, quantization: ModelQuantization.Resolve("auto", config, configFile)))
            add(builder, checkpoint, config);
        File.WriteAllBytes(Path.Combine(model.Folder, "model.safetensors"), builder.Build());
        return model;
    }

    private static float[] Logits(string folder, EngineOptions options)
    {
        using var llm = new LLM(new EngineOptions { Model = folder, Device = "cpu", DType = "float32", Quantization = options.Quantization, CpuActivations = "fp32" });
        return [.. new TokenScorer(llm).Logits(Ids).SelectMany(row => row)];
    }

    private static void AssertNear(float[] expected, float[] actual)
    {
        double worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();
        Assert.IsTrue(worst <= 2e-4, $"logits differ by {worst:E1}");
    }
}
