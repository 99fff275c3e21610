using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>One decoder layer's weights. Query, key and value are one matrix, and so are gate and up: one pass over the input each.</summary>
internal sealed class LlamaLayer : IDisposable
{
    public LlamaLayer(Backend backend, ModelDescription description, ModelShape shape, LayerForms forms)
    {
        int hidden = shape.HiddenSize;
        InputNorm = backend.Allocate(ElementType.F32, hidden);
        PostAttentionNorm = backend.Allocate(ElementType.F32, hidden);
        QkvProjection = Create(forms.Qkv, shape.Attention.QkvWidth, hidden, description.QkvBias);
        OutputProjection = Create(forms.Output, hidden, shape.Attention.QueryWidth, description.OutputBias);
        GateUpProjection = forms.GateUp.Quantization is { } format
            ? backend.CreateQuantizedGateUp(shape, format, description.MlpBias, forms.GateUp.InputOrder)
            : backend.CreateGateUp(shape, description.MlpBias);
        DownProjection = Create(forms.Down, hidden, shape.IntermediateSize, description.MlpBias);

        LinearWeight Create(MatrixForm form, int outFeatures, int inFeatures, bool hasBias) => form.Quantization is { } format
            ? backend.CreateQuantizedLinear(outFeatures, inFeatures, format, hasBias, form.InputOrder)
            : backend.CreateLinear(outFeatures, inFeatures, shape.Weights, hasBias);
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
        LoadNorms(source, backend, config, index);
        LoadMatrices(source, config, index);
    }

    /// <summary>Fills the weights of the norms alone.</summary>
    public void LoadNorms(IWeightSource source, Backend backend, ModelConfig config, int index)
    {
        var modules = new LayerModules(config, index);
        source.LoadVector(modules.Prefix + "input_layernorm.weight", backend, InputNorm);
        source.LoadVector(modules.Prefix + "post_attention_layernorm.weight", backend, PostAttentionNorm);
    }

    /// <summary>Fills the matrices alone. Layers may do so at a time.</summary>
    public void LoadMatrices(IWeightSource source, ModelConfig config, int index)
    {
        var modules = new LayerModules(config, index);
        Load(source, modules.Qkv, QkvProjection);
        Load(source, modules.Output, OutputProjection);
        Load(source, modules.GateUp, GateUpProjection);
        Load(source, modules.Down, DownProjection);
    }

    /// <summary>Runs the batch through the layer: <see cref="ActivationBuffers.Hidden"/> is read and updated, unless the observer stops it.</summary>
    public void Forward(
        Backend backend, AttentionShape shape, float epsilon, ActivationBuffers buffers, BatchMetadata batch, RotaryTable rotary, KvCacheLayer cache, ILayerObserver? observer = null)
    {
        int numTokens = batch.NumTokens;
        var (hidden, normed, qkv, attention, mlp) = buffers;
        if (observer is null)
            backend.RmsNormLinear(hidden, InputNorm, epsilon, normed, QkvProjection, qkv, numTokens); // [numTokens, qkvWidth]
        else if (Normalize(InputNorm, LayerInput.Qkv))
            backend.Linear(QkvProjection, normed, qkv, numTokens);
        else
            return;
        backend.Attention(shape, qkv, rotary, cache, batch, attention); // [numTokens, numHeads * headDim]
        if (observer?.Observe(LayerInput.Output, attention, numTokens) == false)
            return;
        backend.LinearAdd(OutputProjection, attention, hidden, numTokens);
        if (observer is null)
            backend.RmsNormLinearSiluMul(hidden, PostAttentionNorm, epsilon, normed, GateUpProjection, mlp, numTokens); // [numTokens, intermediate]
        else if (Normalize(PostAttentionNorm, LayerInput.GateUp))
            backend.LinearSiluMul(GateUpProjection, normed, mlp, numTokens);
        else
            return;
        if (observer?.Observe(LayerInput.Down, mlp, numTokens) == false)
            return;
        backend.LinearAdd(DownProjection, mlp, hidden, numTokens);

        bool Normalize(DeviceBuffer norm, LayerInput input)
        {
            backend.RmsNorm(hidden, norm, normed, numTokens, epsilon);
            return observer.Observe(input, normed, numTokens);
        }
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

    private static void Load(IWeightSource source, MatrixPart[] parts, LinearWeight target)
    {
        source.LoadMatrix(parts, target, 0);
        int row = 0;
        foreach (var part in parts)
        {
            if (target.HasBias)
                source.LoadBias(part.Module + ".bias", target, row, part.Rows);
            row += part.Rows;
        }
    }
}
