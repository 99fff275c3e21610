using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>The modules that each of a layer's matrices is made of, in the order of its rows.</summary>
internal sealed class LayerModules
{
    public LayerModules(ModelConfig config, int layer)
    {
        Prefix = $"model.layers.{layer}.";
        int heads = config.NumAttentionHeads * config.HeadDim, kv = config.NumKeyValueHeads * config.HeadDim;
        Qkv = [new(Prefix + "self_attn.q_proj", heads), new(Prefix + "self_attn.k_proj", kv), new(Prefix + "self_attn.v_proj", kv)];
        Output = [new(Prefix + "self_attn.o_proj", config.HiddenSize)];
        GateUp = [new(Prefix + "mlp.gate_proj", config.IntermediateSize), new(Prefix + "mlp.up_proj", config.IntermediateSize)];
        Down = [new(Prefix + "mlp.down_proj", config.HiddenSize)];
    }

    /// <summary>What the names of the layer's tensors begin with.</summary>
    public string Prefix { get; }

    public MatrixPart[] Qkv { get; }
    public MatrixPart[] Output { get; }
    public MatrixPart[] GateUp { get; }
    public MatrixPart[] Down { get; }
}
