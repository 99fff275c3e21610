using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>Reads config.json of Llama-like models.</summary>
internal static class ModelConfigReader
{
    /// <summary>The largest max_position_embeddings; positions and slots are 32-bit numbers.</summary>
    public const int MaxPositions = 1 << 28;

    // Far above any model there is, and small enough that a row's bytes fit 32 bits and a tensor's bytes 64.
    private const int MaxVocabSize = 1 << 24;
    private const int MaxWidth = 1 << 22;
    private const int MaxLayers = 1 << 14;
    private const int MaxHeads = 1 << 16;
    private const int MaxFileBytes = 16 << 20;

    /// <summary>Reads the file.</summary>
    /// <param name="file">The path of config.json.</param>
    /// <param name="supportedArchitectures">
    /// Any other architecture is refused by name before its sizes are looked at, which may have other names; null accepts every one.
    /// </param>
    /// <exception cref="CheckpointException">The file cannot be read, or a value is of the wrong type or outside its range.</exception>
    public static ModelConfig Read(string file, IReadOnlyCollection<string>? supportedArchitectures = null)
    {
        var config = Parse(JsonFields.ReadFile(file, MaxFileBytes), supportedArchitectures);
        return config.Quantization is null ? config with { Quantization = QuantizationConfigReader.ReadFolder(Path.GetDirectoryName(Path.GetFullPath(file))!) } : config;
    }

    /// <summary>Reads the object.</summary>
    public static ModelConfig Parse(JsonFields json, IReadOnlyCollection<string>? supportedArchitectures = null)
    {
        string architecture = ReadArchitecture(json, supportedArchitectures);
        string modelType = json.String("model_type") ?? "";
        var defaults = ModelConfigDefaults.For(modelType);

        int hidden = json.Int("hidden_size", 1, MaxWidth) ?? defaults.HiddenSize;
        int heads = json.Int("num_attention_heads", 1, MaxHeads) ?? defaults.NumAttentionHeads;
        int kvHeads = json.Int("num_key_value_heads", 1, MaxHeads)
            ?? (json.Contains("num_key_value_heads") ? null : defaults.NumKeyValueHeads)
            ?? heads;
        if (heads % kvHeads != 0)
            throw json.Error("num_key_value_heads", $"must divide num_attention_heads, {heads}; it counts as {kvHeads}");
        int vocab = json.Int("vocab_size", 1, MaxVocabSize) ?? defaults.VocabSize;
        int maxPositions = json.Int("max_position_embeddings", 1, MaxPositions) ?? defaults.MaxPositionEmbeddings;

        return new ModelConfig
        {
            Architecture = architecture,
            ModelType = modelType,
            VocabSize = vocab,
            HiddenSize = hidden,
            IntermediateSize = json.Int("intermediate_size", 1, MaxWidth) ?? defaults.IntermediateSize,
            NumHiddenLayers = json.Int("num_hidden_layers", 1, MaxLayers) ?? defaults.NumHiddenLayers,
            NumAttentionHeads = heads,
            NumKeyValueHeads = kvHeads,
            HeadDim = ReadHeadDim(json, hidden, heads),
            MaxPositionEmbeddings = maxPositions,
            // From 1e-30 on it is still above 0 as a float.
            RmsNormEps = (float)(json.Number("rms_norm_eps", value => value is >= 1e-30 and <= 1, "must be a number from 1e-30 to 1") ?? 1e-6),
            HiddenAct = ReadHiddenAct(json),
            TieWordEmbeddings = json.Bool("tie_word_embeddings") ?? false,
            AttentionBias = json.Bool("attention_bias") ?? false,
            MlpBias = json.Bool("mlp_bias") ?? false,
            SlidingWindow = ReadSlidingWindow(json, defaults),
            Rope = RopeParametersReader.Read(json, maxPositions),
            Dtype = ReadDtype(json),
            BosTokenId = json.Contains("bos_token_id") ? json.Int("bos_token_id", 0, vocab - 1) : 1,
            EosTokenIds = json.Contains("eos_token_id") ? json.Ints("eos_token_id", 0, vocab - 1) : [2],
            Quantization = json.Object("quantization_config") is { } quantization ? QuantizationConfigReader.Parse(quantization) : null,
        };
    }

    private static string ReadArchitecture(JsonFields json, IReadOnlyCollection<string>? supported)
    {
        var architectures = json.Strings("architectures");
        if (architectures.Count == 0)
            throw json.Error("architectures", "must name the model's class, such as [\"LlamaForCausalLM\"]");
        if (supported is not null && !supported.Contains(architectures[0]))
            throw json.Error("architectures", $"is not supported; supported are {string.Join(", ", supported)}");
        return architectures[0];
    }

    private static int ReadHeadDim(JsonFields json, int hidden, int heads)
    {
        const string Name = "head_dim";
        int? headDim = json.Int(Name, 2, MaxWidth);
        if (headDim is null && hidden % heads != 0)
            throw json.Error("hidden_size", $"counts as {hidden} and must be divisible by num_attention_heads, {heads}, where head_dim is absent");
        int result = headDim ?? hidden / heads;
        if (result % 2 != 0)
            throw json.Error(headDim is null ? "hidden_size" : Name, $"a head has {result} elements, must have an even number (rotary embeddings)");
        if ((long)result * heads > MaxWidth)
            throw json.Error(headDim is null ? "hidden_size" : Name, $"{heads} heads of {result} elements are more than {MaxWidth} elements");
        return result;
    }

    private static string ReadHiddenAct(JsonFields json) => json.String("hidden_act") switch
    {
        null or "silu" => "silu",
        _ => throw json.Error("hidden_act", "must be silu, the one activation that is supported"),
    };

    private static int? ReadSlidingWindow(JsonFields json, ModelConfigDefaults defaults)
    {
        // Qwen writes a window and switches it off with a second key.
        if (json.Bool("use_sliding_window") == false)
            return null;
        return json.Contains("sliding_window") ? json.Int("sliding_window", 1, int.MaxValue) : defaults.SlidingWindow;
    }

    private static ElementType ReadDtype(JsonFields json)
    {
        string name = json.Contains("dtype") ? "dtype" : "torch_dtype";
        return json.String(name) switch
        {
            null or "float32" => ElementType.F32,
            "float16" => ElementType.F16,
            "bfloat16" => ElementType.BF16,
            _ => throw json.Error(name, "must be float32, float16 or bfloat16"),
        };
    }
}
