using System.Buffers.Binary;
using System.Text;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

/// <summary>
/// 10,000 damaged files, the same in every run: reading one either works or ends in a CheckpointException; it never hangs and never takes memory for a size
/// that the file merely claims.
/// </summary>
[TestClass]
public sealed class LoadingFuzzTests
{
    // The files have about 1 KB. Their objects, an exception and its text take some tens of KB; a size that is believed would take MBs.
    private const long MaxAllocatedBytes = 256 << 10;

    // They take a second or two each on an idle machine.
    private const int TimeoutMs = 120_000;

    private const string Config = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 160,
         "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "max_position_embeddings": 256,
         "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false, "attention_bias": false, "sliding_window": null,
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
         "bos_token_id": 1, "eos_token_id": [2, 3], "torch_dtype": "float32", "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": false}}
        """;

    private const string Generation = """
        {"do_sample": true, "temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 64,
         "bos_token_id": 1, "eos_token_id": [1, 2]}
        """;

    private static readonly SafetensorsBuilder Tensors = new SafetensorsBuilder()
        .AddRandom("model.embed_tokens.weight", 8, 4)
        .Add("model.layers.0.mlp.up_proj.weight", "F16", [2, 4], new Half[8])
        .Add<ushort>("model.norm.weight", "BF16", [4], 1, 2, 3, 4)
        .Add("scalar", "I64", [], 5L);

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void Safetensors_DamagedBytes_LoadOrAreRefused()
    {
        byte[] original = Tensors.Build();
        RunCases(3000, (temp, mutator) => temp.Write("model.safetensors", mutator.Bytes(original)), ReadCheckpoint);
    }

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void Safetensors_DamagedHeaderLength_IsRefused()
    {
        byte[] original = Tensors.Build();
        RunCases(
            1000,
            (temp, mutator) =>
            {
                byte[] damaged = [.. original];
                BinaryPrimitives.WriteUInt64LittleEndian(damaged, mutator.HeaderLength(BinaryPrimitives.ReadUInt64LittleEndian(original)));
                temp.Write("model.safetensors", damaged);
            },
            ReadCheckpoint);
    }

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void Safetensors_DamagedHeaderJson_LoadsOrIsRefused()
    {
        byte[] original = Tensors.Build();
        int headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(original);
        string header = Encoding.UTF8.GetString(original, 8, headerLength);
        byte[] data = original[(8 + headerLength)..];
        RunCases(2000, (temp, mutator) => temp.Write("model.safetensors", SafetensorsBuilder.FromHeader(mutator.Json(header), data)), ReadCheckpoint);
    }

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void Index_Damaged_LoadsOrIsRefused()
    {
        const string Index = """{"metadata": {"total_size": 32}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}}""";
        byte[] one = new SafetensorsBuilder().AddRandom("a", 2).Build();
        byte[] two = new SafetensorsBuilder().AddRandom("b", 2).AddRandom("c", 2, 2).Build();
        RunCases(
            1000,
            (temp, mutator) =>
            {
                temp.Write("one.safetensors", one);
                temp.Write("two.safetensors", two);
                temp.Write(CheckpointIndex.FileName, Damage(mutator, Index));
            },
            ReadTensors);
    }

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void Config_Damaged_IsValidOrRefused() => RunCases(
        2000,
        (temp, mutator) => temp.Write("config.json", Damage(mutator, Config)),
        folder =>
        {
            var config = ModelConfigReader.Read(Path.Combine(folder, "config.json"));
            Assert.IsTrue(config is { VocabSize: > 0, HiddenSize: > 0, IntermediateSize: > 0, NumHiddenLayers: > 0, NumAttentionHeads: > 0, RmsNormEps: > 0 });
            Assert.IsTrue(config is { MaxPositionEmbeddings: > 0, SlidingWindow: null or > 0, HeadDim: >= 2, Rope: { Theta: > 0, Factor: >= 1 } });
            Assert.AreEqual(0, config.NumAttentionHeads % config.NumKeyValueHeads);
            Assert.AreEqual(0, config.HeadDim % 2);
            Assert.IsTrue(config.EosTokenIds.All(id => id >= 0 && id < config.VocabSize));
        });

    [TestMethod]
    [Timeout(TimeoutMs)]
    public void GenerationConfig_Damaged_IsValidOrRefused() => RunCases(
        1000,
        (temp, mutator) => temp.Write("generation_config.json", Damage(mutator, Generation)),
        folder =>
        {
            var config = GenerationConfigReader.Read(Path.Combine(folder, "generation_config.json"));
            Assert.IsTrue(config is { Temperature: null or >= 0, TopP: null or (> 0 and <= 1), MinP: null or (>= 0 and <= 1), TopK: null or >= -1 });
        });

    private static byte[] Damage(Mutator mutator, string json) =>
        mutator.Coin() ? mutator.Bytes(Encoding.UTF8.GetBytes(json)) : Encoding.UTF8.GetBytes(mutator.Json(json));

    private static void RunCases(int count, Action<TempFolder, Mutator> prepare, Action<string> read)
    {
        using var temp = new TempFolder();
        int refused = 0;
        for (int seed = 0; seed < count; seed++)
        {
            prepare(temp, new Mutator(seed));
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read(temp.Path);
            }
            catch (CheckpointException error)
            {
                refused++;
                Assert.IsLessThan(1000, error.Message.Length, $"case {seed}: a message is one line of readable length");
            }
            catch (Exception error) when (error is not UnitTestAssertException)
            {
                Assert.Fail($"case {seed}: {error}");
            }
            Assert.IsLessThan(MaxAllocatedBytes, GC.GetAllocatedBytesForCurrentThread() - before, $"case {seed}: bytes allocated");
        }
        Assert.IsGreaterThan(count / 4, refused, "damage that is hardly ever noticed tests nothing");
        Assert.IsLessThan(count, refused, "damage that never gets past the first check tests nothing");
    }

    /// <summary>Opens the checkpoint and loads what a model would.</summary>
    private static void ReadCheckpoint(string folder)
    {
        ReadTensors(folder);
        using var checkpoint = Checkpoint.Open(folder);
        checkpoint.LoadRows("model.embed_tokens.weight", new FakeLinearWeight(8, 4), 0, 8);
        checkpoint.LoadVector("model.norm.weight", new FakeBackend(), new FakeBackend().Allocate(Kernels.ElementType.F32, 4));
    }

    /// <summary>Reads every byte of every tensor.</summary>
    private static void ReadTensors(string folder)
    {
        using var tensors = CheckpointTensors.Open(folder);
        foreach (string name in tensors.Names)
        {
            var (file, tensor) = tensors.Find(name)!.Value;
            long sum = 0;
            foreach (byte b in file.Read(tensor, 0, (int)tensor.ByteLength))
                sum += b;
            Assert.IsGreaterThanOrEqualTo(0, sum);
        }
    }
}
