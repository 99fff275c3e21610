namespace IlgpuLlm.Kernels;

/// <summary>The sizes of a model that decide how a backend runs it.</summary>
/// <param name="HiddenSize">Elements of the residual stream.</param>
/// <param name="IntermediateSize">The MLP's width.</param>
/// <param name="Attention">The attention shape of its layers.</param>
/// <param name="Weights">The type of its weights that are not quantized, F32 or F16.</param>
/// <param name="Quantization">How its linear layers are quantized, embedding and output layer aside; null where they are not.</param>
public sealed record ModelShape(int HiddenSize, int IntermediateSize, AttentionShape Attention, ElementType Weights, QuantizationFormat? Quantization = null)
{
    /// <summary>The type of the KV cache: F32, F16, or U8 for codes with scales. What the constructor's weights are, if nothing else is said.</summary>
    public ElementType KvCache { get; init; } = Weights;
}

/// <summary>The largest batches that a backend's workspace is made for.</summary>
/// <param name="Model">The model.</param>
/// <param name="MaxTokens">Tokens in a batch.</param>
/// <param name="MaxSeqs">Sequences in a batch.</param>
/// <param name="MaxSeqLen">Positions of a sequence.</param>
public sealed record WorkspaceShape(ModelShape Model, int MaxTokens, int MaxSeqs, int MaxSeqLen);
