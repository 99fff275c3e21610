using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>The architectures that the engine runs, by the name in config.json.</summary>
internal static class ModelRegistry
{
    private static readonly SortedDictionary<string, Func<ModelConfig, ModelDescription>> Architectures = new(StringComparer.Ordinal)
    {
        ["LlamaForCausalLM"] = ModelDescription.Llama,
        ["MistralForCausalLM"] = ModelDescription.Mistral,
    };

    /// <summary>The supported names.</summary>
    public static IReadOnlyCollection<string> Supported => Architectures.Keys;

    /// <summary>Describes a model whose architecture is one of <see cref="Supported"/> (the config reader refuses others by name).</summary>
    /// <exception cref="CheckpointException">The weights are quantized.</exception>
    public static ModelDescription Describe(ModelConfig config, string configFile)
    {
        if (config.HasQuantizationConfig)
            throw new CheckpointException(configFile, $"quantization_config.quant_method: '{config.QuantMethod}' is not supported; supported: unquantized weights");
        return Architectures[config.Architecture](config);
    }
}
