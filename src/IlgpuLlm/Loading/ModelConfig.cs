using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// What config.json says about a Llama-like model, checked: sizes are positive and bounded so that products of any three of them fit 64 bits,
/// heads divide evenly, and numbers are finite. Keys that are absent have the values that Transformers gives them.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>The first entry of <c>architectures</c>: <c>LlamaForCausalLM</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary><c>model_type</c>: <c>llama</c>; empty where it is absent.</summary>
    public string ModelType { get; init; } = "";

    /// <summary>Rows of the embedding table and of the output layer.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Elements of a token's hidden state.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Elements of the MLP's inner state.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key and value heads; divides <see cref="NumAttentionHeads"/>.</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Elements in a head, even: <c>head_dim</c>, or hidden size / heads where it is absent.</summary>
    public required int HeadDim { get; init; }

    /// <summary>The longest sequence, in tokens, that the model is made for.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>What is added to the mean square in RMS norms; above 0.</summary>
    public required float RmsNormEps { get; init; }

    /// <summary>The MLP's activation; <c>silu</c> is the one that is supported.</summary>
    public string HiddenAct { get; init; } = "silu";

    /// <summary>Whether the output layer is the embedding table.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Whether the query, key, value and output projections have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether the MLP's projections have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>A token sees itself and the SlidingWindow - 1 tokens before it; null means all of them.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>The rotary embedding's parameters.</summary>
    public required RopeParameters Rope { get; init; }

    /// <summary>The type that the checkpoint says it has (<c>torch_dtype</c> or <c>dtype</c>): F32, F16 or BF16; F32 where it is absent.</summary>
    public ElementType Dtype { get; init; }

    /// <summary>The token that starts a sequence; null: none.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end a sequence; may be empty.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary><c>quantization_config</c>: how the weights are quantized; null where they are not.</summary>
    public QuantizationConfig? Quantization { get; init; }
}
