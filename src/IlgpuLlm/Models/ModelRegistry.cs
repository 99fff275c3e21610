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
    public static ModelDescription Describe(ModelConfig config) => Architectures[config.Architecture](config);
}
