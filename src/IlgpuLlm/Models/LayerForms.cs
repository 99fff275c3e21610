using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>What the four matrices of a layer become on the device: known before memory is planned.</summary>
internal sealed record LayerForms(MatrixForm Qkv, MatrixForm Output, MatrixForm GateUp, MatrixForm Down)
{
    /// <summary>The matrices.</summary>
    public IEnumerable<MatrixForm> All => [Qkv, Output, GateUp, Down];

    /// <summary>Asks a source for the forms of all layers.</summary>
    /// <exception cref="CheckpointException">A layer's tensors contradict each other or the config.</exception>
    public static LayerForms[] Read(IWeightSource source, ModelConfig config)
    {
        var forms = new LayerForms[config.NumHiddenLayers];
        for (int i = 0; i < forms.Length; i++)
        {
            var modules = new LayerModules(config, i);
            forms[i] = new LayerForms(
                source.FormOf(modules.Qkv, config.HiddenSize),
                source.FormOf(modules.Output, config.NumAttentionHeads * config.HeadDim),
                source.FormOf(modules.GateUp, config.HiddenSize),
                source.FormOf(modules.Down, config.IntermediateSize));
        }
        return forms;
    }

    /// <summary>The bytes of a layer's matrices.</summary>
    public long ByteLength(Backend backend, ModelShape shape, ModelDescription description)
    {
        return Bytes(Qkv, shape.Attention.QkvWidth, shape.HiddenSize, description.QkvBias)
            + Bytes(Output, shape.HiddenSize, shape.Attention.QueryWidth, description.OutputBias)
            + Bytes(GateUp, 2 * shape.IntermediateSize, shape.HiddenSize, description.MlpBias)
            + Bytes(Down, shape.HiddenSize, shape.IntermediateSize, description.MlpBias);

        long Bytes(MatrixForm form, int outFeatures, int inFeatures, bool hasBias) => form.Quantization is { } format
            ? backend.QuantizedLinearByteLength(outFeatures, inFeatures, format, hasBias, form.InputOrder.Length > 0)
            : backend.LinearByteLength(outFeatures, inFeatures, shape.Weights, hasBias);
    }
}
