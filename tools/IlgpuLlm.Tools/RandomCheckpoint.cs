using System.Text.Json;
using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tools;

/// <summary>Writes config.json, safetensors files and an index of a random model; the tensors are streamed.</summary>
internal sealed class RandomCheckpoint(string folder, string architecture, ElementType type, ulong seed)
{
    private const int DefaultVocabSize = 32000;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private static readonly string[] TokenizerFiles = ["tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

    private readonly RandomTensor _tensor = new(type);
    private ulong _tensorsWritten;

    /// <summary>Writes the folder and says what it holds.</summary>
    /// <param name="bytes">About how many bytes the weights take.</param>
    /// <param name="shardBytes">The largest file, unless one tensor takes more.</param>
    /// <param name="tokenizerFolder">A folder with a tokenizer, or null.</param>
    public string Write(long bytes, long shardBytes, string? tokenizerFolder)
    {
        Directory.CreateDirectory(folder);
        int vocabSize = tokenizerFolder is null ? DefaultVocabSize : CopyTokenizer(tokenizerFolder);
        var shape = LlamaShape.ForParameters(bytes / type.SizeInBytes(), vocabSize);
        WriteConfig(shape);
        var tensors = shape.Tensors().ToList();
        using var writer = new CheckpointWriter(folder, tensors.Select(tensor => new PlannedTensor(tensor.Name, TensorType.Find(type.ToString())!, tensor.Shape)), shardBytes);
        foreach (var tensor in tensors)
            _tensor.Write(writer.Begin(tensor.Name), tensor, seed + (_tensorsWritten++ << 40));
        writer.Finish();
        long total = tensors.Sum(tensor => tensor.Length);
        string size = $"{total / 1e6:N1} M parameters, {total * type.SizeInBytes() / 1e9:N3} GB";
        return $"{folder}: {size}, {shape.NumHiddenLayers} layers of {shape.HiddenSize}, {writer.NumShards} file(s)";
    }

    private int CopyTokenizer(string source)
    {
        foreach (string name in TokenizerFiles.Where(name => File.Exists(Path.Combine(source, name))))
            File.WriteAllBytes(Path.Combine(folder, name), File.ReadAllBytes(Path.Combine(source, name))); // A copy that is not read-only.
        return TextTokenizer.Load(source).VocabSize;
    }

    private void WriteConfig(LlamaShape shape)
    {
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(architecture == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM"),
            ["model_type"] = architecture,
            ["vocab_size"] = shape.VocabSize,
            ["hidden_size"] = shape.HiddenSize,
            ["intermediate_size"] = shape.IntermediateSize,
            ["num_hidden_layers"] = shape.NumHiddenLayers,
            ["num_attention_heads"] = shape.NumAttentionHeads,
            ["num_key_value_heads"] = shape.NumKeyValueHeads,
            ["head_dim"] = shape.HeadDim,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = 2048,
            ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 10000.0,
            ["tie_word_embeddings"] = false,
            ["bos_token_id"] = 1,
            ["eos_token_id"] = 2,
            ["torch_dtype"] = type switch { ElementType.F32 => "float32", ElementType.BF16 => "bfloat16", _ => "float16" },
        };
        if (architecture == "mistral")
            config["sliding_window"] = 1024;
        WriteJson("config.json", config);
    }

    private void WriteJson(string name, JsonObject json) => File.WriteAllText(Path.Combine(folder, name), json.ToJsonString(Indented) + "\n");
}
