using System.Text;
using System.Text.Json.Nodes;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Tests.Golden;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class ModelConfigReaderTests
{
    private const string File = "config.json";

    private const string Small = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 160,
         "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
        """;

    private static readonly string[] Supported = ["LlamaForCausalLM", "MistralForCausalLM"];

    public static IEnumerable<string> ZooModels => ZooFolders.Floats;

    [TestMethod]
    [DynamicData(nameof(ZooModels))]
    public void Read_ZooConfig_HasItsValues(string model)
    {
        string file = TestData.Committed("zoo", model, File);
        var json = TestData.Json(file);
        var config = ModelConfigReader.Read(file, Supported);

        Assert.AreEqual(json.GetProperty("architectures")[0].GetString(), config.Architecture);
        Assert.AreEqual(json.GetProperty("model_type").GetString(), config.ModelType);
        Assert.AreEqual(json.GetProperty("vocab_size").GetInt32(), config.VocabSize);
        Assert.AreEqual(json.GetProperty("hidden_size").GetInt32(), config.HiddenSize);
        Assert.AreEqual(json.GetProperty("intermediate_size").GetInt32(), config.IntermediateSize);
        Assert.AreEqual(json.GetProperty("num_hidden_layers").GetInt32(), config.NumHiddenLayers);
        Assert.AreEqual(json.GetProperty("num_attention_heads").GetInt32(), config.NumAttentionHeads);
        Assert.AreEqual(json.GetProperty("num_key_value_heads").GetInt32(), config.NumKeyValueHeads);
        Assert.AreEqual(json.GetProperty("max_position_embeddings").GetInt32(), config.MaxPositionEmbeddings);
        Assert.AreEqual(json.GetProperty("rms_norm_eps").GetSingle(), config.RmsNormEps);
        Assert.AreEqual(json.GetProperty("tie_word_embeddings").GetBoolean(), config.TieWordEmbeddings);
        Assert.AreEqual(model == "llama-headdim" ? 24 : 16, config.HeadDim);
        Assert.AreEqual(model == "llama-bias", config.AttentionBias);
        Assert.AreEqual(model == "llama-bias", config.MlpBias);
        Assert.AreEqual(model == "mistral-window16" ? 16 : null, config.SlidingWindow);
        Assert.AreEqual(model.Contains("bf16") ? ElementType.BF16 : model.Contains("fp16") ? ElementType.F16 : ElementType.F32, config.Dtype);
        Assert.AreEqual(1, config.BosTokenId);
        Assert.AreSequenceEqual([2], config.EosTokenIds);
        Assert.IsNull(config.Quantization);
        Assert.AreEqual(ExpectedRope(model, config.MaxPositionEmbeddings), config.Rope);
    }

    [TestMethod]
    [DataRow("falcon7b", "FalconForCausalLM")]
    [DataRow("gemma", "GemmaForCausalLM")]
    [DataRow("phi3", "Phi3ForCausalLM")]
    public void Read_OtherArchitecture_IsRefusedByNameWithTheSupported(string model, string architecture)
    {
        string file = TestData.Shared("zoo", model, File);
        CheckpointErrors.Expect(() => ModelConfigReader.Read(file, Supported), file, "architectures", architecture, "LlamaForCausalLM, MistralForCausalLM");
    }

    [TestMethod]
    public void Read_QwenWithWindowSwitchedOff_HasNoWindow() =>
        Assert.IsNull(ModelConfigReader.Read(TestData.Shared("zoo", "qwen2", File)).SlidingWindow);

    [TestMethod]
    public void Parse_AbsentKeys_HaveLlamaDefaults()
    {
        var config = Parse("""{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}""");
        Assert.AreEqual((32000, 4096, 11008), (config.VocabSize, config.HiddenSize, config.IntermediateSize));
        Assert.AreEqual((32, 32, 32, 128), (config.NumHiddenLayers, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim));
        Assert.AreEqual((2048, 1e-6f, false), (config.MaxPositionEmbeddings, config.RmsNormEps, config.TieWordEmbeddings));
        Assert.AreEqual(new RopeParameters { Theta = 10000, OriginalMaxPositionEmbeddings = 2048 }, config.Rope);
        Assert.AreEqual(ElementType.F32, config.Dtype);
        Assert.IsNull(config.SlidingWindow);
    }

    [TestMethod]
    public void Parse_AbsentKeys_HaveMistralDefaults()
    {
        var config = Parse("""{"architectures": ["MistralForCausalLM"], "model_type": "mistral"}""");
        Assert.AreEqual((14336, 8, 131072, (int?)4096), (config.IntermediateSize, config.NumKeyValueHeads, config.MaxPositionEmbeddings, config.SlidingWindow));
    }

    [TestMethod]
    public void Parse_NullKeyValueHeads_AreAsManyAsHeads() =>
        Assert.AreEqual(32, Parse("""{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_key_value_heads": null}""").NumKeyValueHeads);

    [TestMethod]
    public void Parse_NullTokens_AreNone()
    {
        var config = Parse(With("bos_token_id", "null", With("eos_token_id", "null")));
        Assert.IsNull(config.BosTokenId);
        Assert.IsEmpty(config.EosTokenIds);
    }

    [TestMethod]
    public void Parse_EndTokenList_IsRead() => Assert.AreSequenceEqual([5, 9], Parse(With("eos_token_id", "[5, 9]")).EosTokenIds);

    [TestMethod]
    [DataRow("""{"rope_type": "yarn", "type": "linear", "factor": 8, "beta_fast": 16, "beta_slow": 2, "mscale": 0.7, "mscale_all_dim": 1, "truncate": false}""")]
    public void Parse_YarnWithAllKeys_IsRead(string scaling)
    {
        var expected = new RopeParameters
        {
            Type = RopeType.Yarn,
            Factor = 8,
            BetaFast = 16,
            BetaSlow = 2,
            Mscale = 0.7,
            MscaleAllDim = 1,
            Truncate = false,
            OriginalMaxPositionEmbeddings = 256,
        };
        Assert.AreEqual(expected, Parse(With("rope_scaling", scaling)).Rope);
    }

    [TestMethod]
    public void Parse_RopeParametersOfOneLayerKind_AreRead()
    {
        string json = With("rope_parameters", """{"full_attention": {"rope_type": "default", "rope_theta": 5e5}}""");
        Assert.AreEqual(new RopeParameters { Theta = 5e5, OriginalMaxPositionEmbeddings = 256 }, Parse(json).Rope);
    }

    [TestMethod]
    public void Parse_RopeParametersWithThetaAlone_AreDefault() =>
        Assert.AreEqual(new RopeParameters { Theta = 1e6, OriginalMaxPositionEmbeddings = 256 }, Parse(With("rope_parameters", """{"rope_theta": 1e6}""")).Rope);

    [TestMethod]
    public void Parse_RopeParametersWithoutTheta_TakeTheTopLevelOne() =>
        Assert.AreEqual(5e4, Parse(With("rope_theta", "50000", With("rope_parameters", """{"rope_type": "linear", "factor": 2}"""))).Rope.Theta);

    [TestMethod]
    [DataRow("architectures", "[]", "must name the model's class")]
    [DataRow("architectures", "\"Llama\"", "must be a list")]
    [DataRow("architectures", "[1]", "must be a string")]
    [DataRow("vocab_size", "0", "integer from 1 to")]
    [DataRow("vocab_size", "1e3000", "integer from 1 to")]
    [DataRow("hidden_size", "-64", "integer from 1 to")]
    [DataRow("hidden_size", "\"64\"", "integer from 1 to")]
    [DataRow("hidden_size", "66", "divisible by num_attention_heads, 4")]
    [DataRow("hidden_size", "60", "even")]
    [DataRow("intermediate_size", "160.5", "integer from 1 to")]
    [DataRow("intermediate_size", "99999999999", "integer from 1 to 4194304")]
    [DataRow("num_hidden_layers", "[2]", "integer from 1 to")]
    [DataRow("num_attention_heads", "0", "integer from 1 to")]
    [DataRow("num_key_value_heads", "3", "must divide num_attention_heads, 4")]
    [DataRow("head_dim", "15", "even")]
    [DataRow("head_dim", "4194304", "4 heads of 4194304 elements are more than 4194304")]
    [DataRow("max_position_embeddings", "1000000000", "integer from 1 to")]
    [DataRow("rms_norm_eps", "0", "from 1e-30 to 1")]
    [DataRow("rms_norm_eps", "null0", "is not valid JSON")]
    [DataRow("hidden_act", "\"gelu\"", "must be silu")]
    [DataRow("tie_word_embeddings", "\"yes\"", "true or false")]
    [DataRow("attention_bias", "0", "true or false")]
    [DataRow("sliding_window", "0", "integer from 1 to")]
    [DataRow("rope_theta", "-1", "above 0")]
    [DataRow("rope_scaling", "[]", "must be an object")]
    [DataRow("rope_scaling", """{"factor": 2}""", "rope_scaling.rope_type: missing, must be default, linear")]
    [DataRow("rope_scaling", """{"type": "longrope", "factor": 2}""", "rope_scaling.type: \"longrope\", must be default, linear")]
    [DataRow("rope_scaling", """{"rope_type": "linear"}""", "rope_scaling.factor: missing, must be a number from 1")]
    [DataRow("rope_scaling", """{"rope_type": "linear", "factor": 0.5}""", "rope_scaling.factor: 0.5, must be a number from 1")]
    [DataRow("rope_scaling", """{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4}""", "must be above low_freq_factor, 4")]
    [DataRow("rope_scaling", """{"rope_type": "yarn", "factor": 8, "beta_fast": 0.5}""", "must be at least beta_slow, 1")]
    [DataRow("rope_scaling", """{"rope_type": "yarn", "factor": 8, "original_max_position_embeddings": 0}""", "integer from 1")]
    [DataRow("rope_parameters", """{"a": {"rope_theta": 1}, "b": {"rope_theta": 2}}""", "one set for all layers")]
    [DataRow("partial_rotary_factor", "0.5", "must be 1")]
    [DataRow("torch_dtype", "\"float64\"", "must be float32, float16 or bfloat16")]
    [DataRow("dtype", "16", "must be a string")]
    [DataRow("bos_token_id", "256", "integer from 0 to 255")]
    [DataRow("eos_token_id", "[2, -1]", "integer from 0 to 255")]
    [DataRow("quantization_config", "\"awq\"", "must be an object")]
    public void Parse_BadValue_NamesFileFieldValueAndLimit(string field, string value, string problem)
    {
        string[] parts = value is "null0" ? [problem] : value.StartsWith('{') ? [field, problem] : [field, value, problem];
        CheckpointErrors.Expect(() => Parse(With(field, value)), File, parts);
    }

    [TestMethod]
    [DataRow("", "is not valid JSON")]
    [DataRow("{", "is not valid JSON")]
    [DataRow("{} {}", "is not valid JSON")]
    [DataRow("[]", "must hold a JSON object, not []")]
    [DataRow("{\"\\ud800\": 1}", "name is not valid Unicode")]
    [DataRow("{\"architectures\": [\"\\ud800\"]}", "must be valid Unicode")]
    [DataRow("{}", "architectures: missing")]
    public void Parse_MalformedJson_IsRefused(string json, string problem) => CheckpointErrors.Expect(() => Parse(json), File, problem);

    [TestMethod]
    public void Parse_InvalidUtf8_IsRefused() => CheckpointErrors.Expect(() => JsonFields.Parse(File, [(byte)'"', 0xFF, (byte)'"']), File, "UTF-8");

    [TestMethod]
    public void Read_MissingFile_IsRefused() => CheckpointErrors.Expect(() => ModelConfigReader.Read("/no/such/config.json"), "/no/such/config.json", "cannot be read");

    private static RopeParameters ExpectedRope(string model, int maxPositions)
    {
        var rope = new RopeParameters { OriginalMaxPositionEmbeddings = maxPositions };
        return model switch
        {
            "llama-rope-linear" => rope with { Type = RopeType.Linear, Factor = 4 },
            "llama-rope-linear-oldkey" => rope with { Type = RopeType.Linear, Factor = 2 },
            "llama-rope-dynamic" => rope with { Type = RopeType.Dynamic, Factor = 2 },
            "llama-rope-yarn" => rope with { Type = RopeType.Yarn, Factor = 4, OriginalMaxPositionEmbeddings = 64 },
            "llama3-rope" or "llama3-rope-v5config" => rope with
            {
                Type = RopeType.Llama3,
                Theta = 500000,
                Factor = 8,
                LowFreqFactor = 1,
                HighFreqFactor = 4,
                OriginalMaxPositionEmbeddings = 64,
            },
            _ => rope,
        };
    }

    private static ModelConfig Parse(string json) => ModelConfigReader.Parse(JsonFields.Parse(File, Encoding.UTF8.GetBytes(json)));

    /// <summary>The small config with one field set to the given JSON text, which need not be valid.</summary>
    private static string With(string field, string value, string json = Small)
    {
        var config = JsonNode.Parse(json)!.AsObject();
        config.Remove(field);
        return $"{{\"{field}\": {value}, {config.ToJsonString().TrimStart('{')}";
    }
}
