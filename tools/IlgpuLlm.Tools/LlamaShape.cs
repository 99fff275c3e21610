namespace IlgpuLlm.Tools;

/// <summary>The sizes of a Llama: TinyLlama's proportions, with the width and the number of layers that a wanted size needs.</summary>
internal sealed record LlamaShape(int VocabSize, int HiddenSize, int NumHiddenLayers)
{
    private const int MinLayers = 4;

    /// <summary>TinyLlama: 5632 of 2048.</summary>
    public int IntermediateSize => HiddenSize * 11 / 4;

    public int HeadDim => 64;

    public int NumAttentionHeads => HiddenSize / HeadDim;

    public int NumKeyValueHeads => Math.Max(1, NumAttentionHeads / 8);

    /// <summary>The widest shape of at least four layers that has about as many parameters.</summary>
    public static LlamaShape ForParameters(long parameters, int vocabSize)
    {
        LlamaShape shape = new(vocabSize, 64, 0);
        foreach (int hidden in (int[])[8192, 4096, 2048, 1024, 512, 256, 128, 64])
        {
            shape = new LlamaShape(vocabSize, hidden, 0);
            if (shape.ParameterCount + MinLayers * shape.ParametersPerLayer <= parameters)
                break;
        }
        double layers = (double)(parameters - shape.ParameterCount) / shape.ParametersPerLayer;
        return shape with { NumHiddenLayers = Math.Max(1, (int)Math.Round(layers)) };
    }

    /// <summary>The tensors in the order of a checkpoint.</summary>
    public IEnumerable<TensorSpec> Tensors() =>
    [
        new("model.embed_tokens.weight", VocabSize, HiddenSize),
        .. Enumerable.Range(0, NumHiddenLayers).SelectMany(LayerTensors),
        new("model.norm.weight", HiddenSize),
        new("lm_head.weight", VocabSize, HiddenSize),
    ];

    private long ParameterCount => Tensors().Sum(tensor => tensor.Length);

    private long ParametersPerLayer => LayerTensors(0).Sum(tensor => tensor.Length);

    private IEnumerable<TensorSpec> LayerTensors(int layer)
    {
        string prefix = $"model.layers.{layer}.";
        int kvWidth = NumKeyValueHeads * HeadDim;
        yield return new(prefix + "input_layernorm.weight", HiddenSize);
        yield return new(prefix + "self_attn.q_proj.weight", HiddenSize, HiddenSize);
        yield return new(prefix + "self_attn.k_proj.weight", kvWidth, HiddenSize);
        yield return new(prefix + "self_attn.v_proj.weight", kvWidth, HiddenSize);
        yield return new(prefix + "self_attn.o_proj.weight", HiddenSize, HiddenSize);
        yield return new(prefix + "post_attention_layernorm.weight", HiddenSize);
        yield return new(prefix + "mlp.gate_proj.weight", IntermediateSize, HiddenSize);
        yield return new(prefix + "mlp.up_proj.weight", IntermediateSize, HiddenSize);
        yield return new(prefix + "mlp.down_proj.weight", HiddenSize, IntermediateSize);
    }
}
