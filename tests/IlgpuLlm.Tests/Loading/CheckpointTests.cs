using System.Collections.Concurrent;
using IlgpuLlm.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class CheckpointTests
{
    public static IEnumerable<string> ZooModels => ModelConfigReaderTests.ZooModels;

    [TestMethod]
    [DynamicData(nameof(ZooModels))]
    public void LoadRows_ZooModel_EveryTensorHasTheShapeOfItsConfig(string model)
    {
        string folder = TestData.Committed("zoo", model);
        var config = ModelConfigReader.Read(Path.Combine(folder, "config.json"));
        using var checkpoint = Checkpoint.Open(folder);
        var names = LoadAll(checkpoint, config);
        checkpoint.VerifyAllUsed([]);
        Assert.IsTrue(names.Values.All(weight => weight.Values.All(float.IsFinite) && weight.Values.Any(value => value != 0)));
    }

    [TestMethod]
    [DataRow("llama-gqa", "llama-gqa-sharded")]
    [DataRow("llama-gqa-bf16", "llama-gqa-bf16-sharded")]
    public void LoadRows_Shards_HoldWhatTheSingleFileHolds(string single, string sharded)
    {
        var config = ModelConfigReader.Read(TestData.Committed("zoo", single, "config.json"));
        using var one = Checkpoint.Open(TestData.Committed("zoo", single));
        using var many = Checkpoint.Open(TestData.Committed("zoo", sharded));
        Assert.AreEqual(one.ByteLength, many.ByteLength);
        var expected = LoadAll(one, config);
        foreach (var (name, weight) in LoadAll(many, config))
            Assert.AreSequenceEqual(expected[name].Values, weight.Values, name);
    }

    [TestMethod]
    public void LoadRows_EveryType_IsWidenedExactly()
    {
        using var temp = Folder(new SafetensorsBuilder()
            .Add("f32", "F32", [1, 4], 1.5f, -0f, float.MaxValue, float.Epsilon)
            .Add("f16", "F16", [1, 4], (Half)1.5f, Half.NegativeZero, Half.MaxValue, Half.Epsilon)
            .Add<ushort>("bf16", "BF16", [1, 4], 0x3FC0, 0x8000, 0x7F7F, 0x0001));
        using var checkpoint = Checkpoint.Open(temp.Path);
        var weight = new FakeLinearWeight(3, 4);
        checkpoint.LoadRows("bf16", weight, 0, 1);
        checkpoint.LoadRows("f16", weight, 1, 1);
        checkpoint.LoadRows("f32", weight, 2, 1);
        float[] expected =
        [
            1.5f, -0f, 3.38953139e38f, 9.1835496e-41f,
            1.5f, -0f, 65504, 5.9604645e-8f,
            1.5f, -0f, float.MaxValue, float.Epsilon,
        ];
        Assert.AreSequenceEqual(expected.Select(BitConverter.SingleToUInt32Bits), weight.Values.Select(BitConverter.SingleToUInt32Bits));
    }

    [TestMethod]
    public void LoadRows_TensorOfSeveralChunks_FillsItsRowsAndReportsProgressInOrder()
    {
        const int Rows = 5001, Width = 1024; // 20 MB: ten chunks.
        using var temp = Folder(new SafetensorsBuilder().AddRandom("w", Rows, Width).AddRandom("v", 8));
        var progress = new RecordedProgress();
        using var checkpoint = Checkpoint.Open(temp.Path, progress);
        var weight = new FakeLinearWeight(Rows + 2, Width);
        checkpoint.LoadRows("w", weight, 1, Rows);

        var whole = new FakeLinearWeight(Rows, Width);
        using var file = SafetensorsFile.Open(Path.Combine(temp.Path, "model.safetensors"));
        whole.LoadRows(0, Rows, Kernels.ElementType.F32, file.Read(file.Tensors["w"], 0, Rows * Width * 4));
        Assert.IsTrue(weight.Values.AsSpan(Width, Rows * Width).SequenceEqual(whole.Values));
        Assert.IsTrue(weight.Values.AsSpan(0, Width).IndexOfAnyExcept(0f) < 0 && weight.Values.AsSpan((Rows + 1) * Width).IndexOfAnyExcept(0f) < 0);

        checkpoint.LoadVector("v", new FakeBackend(), new FakeBackend().Allocate(Kernels.ElementType.F32, 8));
        checkpoint.VerifyAllUsed([]);
        var reports = progress.Reports.ToArray();
        Assert.HasCount(12, reports);
        Assert.IsTrue(reports.All(report => report.BytesTotal == checkpoint.ByteLength));
        Assert.IsTrue(reports.Zip(reports.Skip(1)).All(pair => pair.First.BytesDone <= pair.Second.BytesDone));
        Assert.AreEqual(new LoadProgress(checkpoint.ByteLength, checkpoint.ByteLength, ""), reports[^1]);
        Assert.AreEqual("w", reports[0].CurrentTensor);
        Assert.AreEqual(0.9, reports[^1].Share, 1e-9, "graphs are still to be recorded where there are any");
    }

    [TestMethod]
    public void LoadBiasAndVector_EveryType_AreWidened()
    {
        using var temp = Folder(new SafetensorsBuilder()
            .Add<ushort>("bf16", "BF16", [2], 0x3F80, 0x4000)
            .Add("f16", "F16", [3], (Half)3, (Half)4, (Half)5));
        using var checkpoint = Checkpoint.Open(temp.Path);
        var weight = new FakeLinearWeight(4, 1, hasBias: true);
        checkpoint.LoadBias("bf16", weight, 1, 2);
        Assert.AreSequenceEqual([0f, 1, 2, 0], weight.Bias);

        var backend = new FakeBackend();
        using var buffer = backend.Allocate(Kernels.ElementType.F32, 3);
        checkpoint.LoadVector("f16", backend, buffer);
        var values = new float[3];
        backend.Download(buffer, values);
        Assert.AreSequenceEqual([3f, 4, 5], values);
    }

    [TestMethod]
    public void LoadRows_MissingTensor_NamesItAndItsShape()
    {
        using var temp = Folder(new SafetensorsBuilder().AddRandom("w", 2, 3));
        using var checkpoint = Checkpoint.Open(temp.Path);
        Assert.IsTrue(checkpoint.Contains("w"));
        Assert.IsFalse(checkpoint.Contains("lm_head.weight"));
        CheckpointErrors.Expect(
            () => checkpoint.LoadRows("lm_head.weight", new FakeLinearWeight(2, 3), 0, 2), temp.Path, "\"lm_head.weight\": missing", "[2, 3]");
    }

    [TestMethod]
    public void LoadRows_WrongShape_NamesBothShapes()
    {
        using var temp = Folder(new SafetensorsBuilder().AddRandom("w", 3, 2));
        using var checkpoint = Checkpoint.Open(temp.Path);
        string file = Path.Combine(temp.Path, "model.safetensors");
        CheckpointErrors.Expect(() => checkpoint.LoadRows("w", new FakeLinearWeight(2, 3), 0, 2), file, "\"w\": shape: [3, 2], must be [2, 3]");
        CheckpointErrors.Expect(() => checkpoint.LoadBias("w", new FakeLinearWeight(6, 3, true), 0, 6), file, "\"w\": shape: [3, 2], must be [6]");
    }

    [TestMethod]
    public void LoadRows_TypeThatIsNoWeight_NamesIt()
    {
        using var temp = Folder(new SafetensorsBuilder().Add("w", "I32", [1, 2], 1, 2));
        using var checkpoint = Checkpoint.Open(temp.Path);
        string file = Path.Combine(temp.Path, "model.safetensors");
        CheckpointErrors.Expect(() => checkpoint.LoadRows("w", new FakeLinearWeight(1, 2), 0, 1), file, "dtype: I32, must be F32, F16 or BF16");
    }

    [TestMethod]
    public void VerifyAllUsed_ExtraTensors_ListsThemExceptTheIgnorable()
    {
        using var temp = Folder(new SafetensorsBuilder().AddRandom("w", 2, 3).AddRandom("model.layers.0.self_attn.rotary_emb.inv_freq", 8).AddRandom("lm_head.weight", 2, 3));
        using var checkpoint = Checkpoint.Open(temp.Path);
        checkpoint.LoadRows("w", new FakeLinearWeight(2, 3), 0, 2);
        CheckpointErrors.Expect(() => checkpoint.VerifyAllUsed(["*.rotary_emb.inv_freq"]), temp.Path, "not part of the model: \"lm_head.weight\"");
        checkpoint.VerifyAllUsed(["*.rotary_emb.inv_freq", "lm_head.weight"]);
    }

    [TestMethod]
    public void VerifyAllUsed_ManyExtraTensors_ListsFiveAndCounts()
    {
        var builder = new SafetensorsBuilder();
        for (int i = 0; i < 8; i++)
            builder.AddRandom($"extra{i}", 1);
        using var temp = Folder(builder);
        using var checkpoint = Checkpoint.Open(temp.Path);
        CheckpointErrors.Expect(() => checkpoint.VerifyAllUsed([]), temp.Path, "\"extra0\"", "\"extra4\" and 3 more");
    }

    [TestMethod]
    public void Open_NoWeights_NamesWhatWasLookedFor()
    {
        using var temp = new TempFolder();
        CheckpointErrors.Expect(() => Checkpoint.Open(temp.Path), temp.Path, "model.safetensors", "model.safetensors.index.json");
    }

    [TestMethod]
    [DataRow("pytorch_model.bin")]
    [DataRow("llama.gguf")]
    [DataRow("consolidated.safetensors")]
    public void Open_OtherFormat_NamesTheFileThatIsThere(string name)
    {
        using var temp = new TempFolder();
        temp.Write(name, "");
        CheckpointErrors.Expect(() => Checkpoint.Open(temp.Path), temp.Path, $"{name} is there", "not supported");
    }

    private static TempFolder Folder(SafetensorsBuilder builder)
    {
        var temp = new TempFolder();
        temp.Write("model.safetensors", builder.Build());
        return temp;
    }

    /// <summary>Loads all tensors that a Llama of this config has.</summary>
    private static Dictionary<string, FakeLinearWeight> LoadAll(Checkpoint checkpoint, ModelConfig config)
    {
        var loaded = new Dictionary<string, FakeLinearWeight>();
        int queryWidth = config.NumAttentionHeads * config.HeadDim;
        int kvWidth = config.NumKeyValueHeads * config.HeadDim;
        Matrix("model.embed_tokens", config.VocabSize, config.HiddenSize, hasBias: false);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            string prefix = $"model.layers.{layer}";
            Vector($"{prefix}.input_layernorm.weight");
            Vector($"{prefix}.post_attention_layernorm.weight");
            Matrix($"{prefix}.self_attn.q_proj", queryWidth, config.HiddenSize, config.AttentionBias);
            Matrix($"{prefix}.self_attn.k_proj", kvWidth, config.HiddenSize, config.AttentionBias);
            Matrix($"{prefix}.self_attn.v_proj", kvWidth, config.HiddenSize, config.AttentionBias);
            Matrix($"{prefix}.self_attn.o_proj", config.HiddenSize, queryWidth, config.AttentionBias);
            Matrix($"{prefix}.mlp.gate_proj", config.IntermediateSize, config.HiddenSize, config.MlpBias);
            Matrix($"{prefix}.mlp.up_proj", config.IntermediateSize, config.HiddenSize, config.MlpBias);
            Matrix($"{prefix}.mlp.down_proj", config.HiddenSize, config.IntermediateSize, config.MlpBias);
        }
        Vector("model.norm.weight");
        if (!config.TieWordEmbeddings)
            Matrix("lm_head", config.VocabSize, config.HiddenSize, hasBias: false);
        return loaded;

        void Matrix(string name, int rows, int columns, bool hasBias)
        {
            var weight = new FakeLinearWeight(rows, columns, hasBias);
            checkpoint.LoadRows($"{name}.weight", weight, 0, rows);
            if (hasBias)
                checkpoint.LoadBias($"{name}.bias", weight, 0, rows);
            loaded.Add(name, weight);
        }

        void Vector(string name)
        {
            var backend = new FakeBackend();
            checkpoint.LoadVector(name, backend, backend.Allocate(Kernels.ElementType.F32, config.HiddenSize));
        }
    }

    private sealed class RecordedProgress : IProgress<LoadProgress>
    {
        public ConcurrentQueue<LoadProgress> Reports { get; } = [];

        public void Report(LoadProgress value) => Reports.Enqueue(value);
    }
}
