namespace IlgpuLlm.Loading;

/// <summary>The values that Transformers' LlamaConfig and MistralConfig give to keys that config.json leaves out and in which they differ.</summary>
internal sealed record ModelConfigDefaults
{
    private static readonly ModelConfigDefaults Llama = new();

    private static readonly ModelConfigDefaults Mistral = new()
    {
        IntermediateSize = 14336,
        NumKeyValueHeads = 8,
        MaxPositionEmbeddings = 131072,
        SlidingWindow = 4096,
    };

    public int VocabSize { get; init; } = 32000;

    public int HiddenSize { get; init; } = 4096;

    public int IntermediateSize { get; init; } = 11008;

    public int NumHiddenLayers { get; init; } = 32;

    public int NumAttentionHeads { get; init; } = 32;

    /// <summary>Null: as many as there are query heads.</summary>
    public int? NumKeyValueHeads { get; init; }

    public int MaxPositionEmbeddings { get; init; } = 2048;

    public int? SlidingWindow { get; init; }

    /// <summary>The defaults of a <c>model_type</c>.</summary>
    public static ModelConfigDefaults For(string modelType) => modelType == "mistral" ? Mistral : Llama;
}
