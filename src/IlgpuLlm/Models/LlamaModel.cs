using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>
/// The Llama family's decoder, written once over <see cref="Backend"/>: pre-norm layers of grouped-query attention with rotary embeddings and a
/// SwiGLU MLP. Weights and activation buffers are allocated by the constructor; a forward pass allocates nothing.
/// </summary>
internal sealed class LlamaModel : IDisposable
{
    private readonly Backend _backend;
    private readonly ModelConfig _config;
    private readonly ModelDescription _description;
    private readonly LinearWeight _embedding;
    private readonly LinearWeight _output;
    private readonly DeviceBuffer _finalNorm;
    private readonly LlamaLayer[] _layers;
    private readonly ActivationBuffers _buffers;

    public LlamaModel(Backend backend, ModelConfig config, ModelDescription description, ModelShape shape, LayerForms[] forms, int maxTokens, int maxLogits)
    {
        var dtype = shape.Weights;
        _backend = backend;
        _config = config;
        _description = description;
        Shape = shape;
        _embedding = backend.CreateLinear(config.VocabSize, config.HiddenSize, dtype, hasBias: false);
        _layers = new LlamaLayer[config.NumHiddenLayers];
        for (int i = 0; i < _layers.Length; i++)
            _layers[i] = new LlamaLayer(backend, description, shape, forms[i]);
        _finalNorm = backend.Allocate(ElementType.F32, config.HiddenSize);
        _output = backend.OutputQuantization(shape) is { } format ? backend.CreateQuantizedLinear(config.VocabSize, config.HiddenSize, format, hasBias: false, [])
            : description.TieWordEmbeddings ? _embedding
            : backend.CreateLinear(config.VocabSize, config.HiddenSize, dtype, hasBias: false);
        _buffers = new ActivationBuffers(backend, Shape, config.VocabSize, maxTokens, maxLogits);
    }

    public ModelShape Shape { get; }

    public AttentionShape Attention => Shape.Attention;

    /// <summary>F32, [maxLogits, vocabSize]: what <see cref="ComputeLogits(BatchMetadata)"/> wrote.</summary>
    public DeviceBuffer Logits => _buffers.Logits;

    public static AttentionShape AttentionShapeOf(ModelConfig config, ModelDescription description) => new(
        config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, description.SlidingWindow, 1 / MathF.Sqrt(config.HeadDim));

    /// <summary>What decides how a backend runs this model.</summary>
    public static ModelShape ShapeOf(ModelConfig config, ModelDescription description, ElementType dtype, QuantizationFormat? quantization = null) =>
        new(config.HiddenSize, config.IntermediateSize, AttentionShapeOf(config, description), dtype, quantization);

    /// <summary>The number of weights, biases and norms included; a shared table counts once.</summary>
    public static long CountParameters(ModelConfig config, ModelDescription description)
    {
        var attention = AttentionShapeOf(config, description);
        long hidden = config.HiddenSize, mlp = config.IntermediateSize, table = config.VocabSize * hidden;
        long layer = attention.QkvWidth * (hidden + (description.QkvBias ? 1 : 0))
            + hidden * (attention.QueryWidth + (description.OutputBias ? 1 : 0))
            + 3 * hidden * mlp + (description.MlpBias ? 2 * mlp + hidden : 0)
            + 2 * hidden;
        return (description.TieWordEmbeddings ? table : 2 * table) + layer * config.NumHiddenLayers + hidden;
    }

    /// <summary>Tensors that some checkpoints carry and no model needs: rotary frequencies, which follow from the config, and a copy of the tied output layer.</summary>
    public static string[] IgnorableTensors(ModelDescription description) =>
        description.TieWordEmbeddings ? ["*.rotary_emb.inv_freq", "lm_head.weight"] : ["*.rotary_emb.inv_freq"];

    /// <summary>The bytes of the embedding table, and of the output layer where it is not that table itself.</summary>
    public static (long Embedding, long Output) TableByteLengths(Backend backend, ModelConfig config, ModelDescription description, ModelShape shape)
    {
        long table = backend.LinearByteLength(config.VocabSize, config.HiddenSize, shape.Weights, hasBias: false);
        return (table, backend.OutputQuantization(shape) is { } format
            ? backend.QuantizedLinearByteLength(config.VocabSize, config.HiddenSize, format, hasBias: false, isReordered: false)
            : description.TieWordEmbeddings ? 0 : table);
    }

    /// <summary>Fills all weights, then checks that the checkpoint holds nothing else.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, has the wrong shape or type, or is not one of this model's.</exception>
    public void Load(IWeightSource source)
    {
        source.LoadRows("model.embed_tokens.weight", _embedding, 0, _config.VocabSize);
        for (int i = 0; i < _layers.Length; i++)
            _layers[i].LoadNorms(source, _backend, _config, i);
        ParallelLoad.For(_layers.Length, source.MaxConcurrentLayers, i => _layers[i].LoadMatrices(source, _config, i));
        source.LoadVector("model.norm.weight", _backend, _finalNorm);
        if (_output != _embedding)
            source.LoadMatrix([new(_description.TieWordEmbeddings ? "model.embed_tokens" : "lm_head", _config.VocabSize, IsInLayer: false)], _output, 0);
        source.VerifyAllUsed(IgnorableTensors(_description));
    }

    /// <summary>Runs the batch through all layers and leaves the residual stream for <see cref="ComputeLogits(BatchMetadata)"/>.</summary>
    public void Forward(BatchMetadata batch, RotaryTable rotary, KvCacheLayer[] cache)
    {
        _backend.EmbeddingLookup(_embedding, batch.TokenIds, _buffers.Hidden, batch.NumTokens); // [numTokens, hidden]
        for (int i = 0; i < _layers.Length; i++)
            _layers[i].Forward(_backend, Attention, _config.RmsNormEps, _buffers, batch, rotary, cache[i]);
    }

    /// <summary>Computes the logits of the rows named by <see cref="BatchMetadata.LogitsIndices"/>, at most maxLogits of them.</summary>
    public void ComputeLogits(BatchMetadata batch)
    {
        _backend.GatherRows(_buffers.Hidden, batch.LogitsIndices, _buffers.Gathered, batch.NumLogits, _config.HiddenSize);
        ComputeLogits(_buffers.Gathered, batch.NumLogits);
    }

    /// <summary>Computes the logits of every row, in order.</summary>
    public void ComputeAllLogits(BatchMetadata batch) => ComputeLogits(_buffers.Hidden, batch.NumTokens);

    public void Dispose()
    {
        _buffers.Dispose();
        foreach (var layer in _layers)
            layer.Dispose();
        if (_output != _embedding)
            _output.Dispose();
        _finalNorm.Dispose();
        _embedding.Dispose();
    }

    private void ComputeLogits(DeviceBuffer hidden, int numRows)
    {
        _backend.RmsNorm(hidden, _finalNorm, _buffers.Normed, numRows, _config.RmsNormEps);
        _backend.Linear(_output, _buffers.Normed, _buffers.Logits, numRows);
    }
}
