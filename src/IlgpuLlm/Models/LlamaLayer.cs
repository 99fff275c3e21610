using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>One decoder layer's weights. Query, key and value are one matrix, and so are gate and up: one pass over the input each.</summary>
internal sealed class LlamaLayer : IDisposable
{
    public LlamaLayer(Backend backend, ModelConfig config, ModelDescription description, ModelShape shape)
    {
        var (dtype, heads) = (shape.Weights, shape.Attention.QueryWidth);
        InputNorm = backend.Allocate(ElementType.F32, config.HiddenSize);
        PostAttentionNorm = backend.Allocate(ElementType.F32, config.HiddenSize);
        QkvProjection = backend.CreateLinear(shape.Attention.QkvWidth, config.HiddenSize, dtype, description.QkvBias);
        OutputProjection = backend.CreateLinear(config.HiddenSize, heads, dtype, description.OutputBias);
        GateUpProjection = backend.CreateGateUp(shape, description.MlpBias);
        DownProjection = backend.CreateLinear(config.HiddenSize, config.IntermediateSize, dtype, description.MlpBias);
    }

    public DeviceBuffer InputNorm { get; }
    public LinearWeight QkvProjection { get; }
    public LinearWeight OutputProjection { get; }
    public DeviceBuffer PostAttentionNorm { get; }
    public LinearWeight GateUpProjection { get; }
    public LinearWeight DownProjection { get; }

    /// <summary>Fills the weights from the tensors model.layers.<paramref name="index"/>.*</summary>
    public void Load(IWeightSource source, Backend backend, ModelConfig config, int index)
    {
        string prefix = $"model.layers.{index}.";
        int heads = config.NumAttentionHeads * config.HeadDim, kv = config.NumKeyValueHeads * config.HeadDim, mlp = config.IntermediateSize;
        source.LoadVector(prefix + "input_layernorm.weight", backend, InputNorm);
        source.LoadVector(prefix + "post_attention_layernorm.weight", backend, PostAttentionNorm);
        Load(source, prefix + "self_attn.q_proj", QkvProjection, 0, heads);
        Load(source, prefix + "self_attn.k_proj", QkvProjection, heads, kv);
        Load(source, prefix + "self_attn.v_proj", QkvProjection, heads + kv, kv);
        Load(source, prefix + "self_attn.o_proj", OutputProjection, 0, config.HiddenSize);
        Load(source, prefix + "mlp.gate_proj", GateUpProjection, 0, mlp);
        Load(source, prefix + "mlp.up_proj", GateUpProjection, mlp, mlp);
        Load(source, prefix + "mlp.down_proj", DownProjection, 0, config.HiddenSize);
    }

    public void Dispose()
    {
        InputNorm.Dispose();
        PostAttentionNorm.Dispose();
        QkvProjection.Dispose();
        OutputProjection.Dispose();
        GateUpProjection.Dispose();
        DownProjection.Dispose();
    }

    private static void Load(IWeightSource source, string module, LinearWeight target, int firstRow, int rows)
    {
        source.LoadRows(module + ".weight", target, firstRow, rows);
        if (target.HasBias)
            source.LoadBias(module + ".bias", target, firstRow, rows);
    }
}
