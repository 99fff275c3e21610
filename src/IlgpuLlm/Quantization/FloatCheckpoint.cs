using System.Collections.Concurrent;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Quantization;

/// <summary>A checkpoint of floats, read a layer at a time. The MLP can be read wider than it is, filled up with zeros, which changes nothing of what it computes.</summary>
internal sealed class FloatCheckpoint : IDisposable
{
    public const string Embedding = "model.embed_tokens.weight";
    public const string FinalNorm = "model.norm.weight";
    public const string OutputLayer = "lm_head.weight";

    private readonly CheckpointTensors _tensors;
    private readonly ModelConfig _config;
    private readonly ModelDescription _description;

    /// <summary>Finds all tensors of a model and checks their shapes and types; reads none.</summary>
    /// <exception cref="CheckpointException">One is missing, has another shape, or is not of floats; or there are others.</exception>
    public FloatCheckpoint(string folder, ModelConfig config, ModelDescription description)
    {
        (_config, _description) = (config, description);
        _tensors = CheckpointTensors.Open(folder);
        try
        {
            UseAll();
        }
        catch
        {
            _tensors.Dispose();
            throw;
        }
    }

    /// <summary>Reads neighbouring rows of a matrix: [numRows, width].</summary>
    public void ReadRows(string name, int firstRow, int width, Span<float> values)
    {
        var (file, info) = _tensors.Find(name)!.Value;
        var type = info.Type.AsWeight()!.Value;
        ElementConversion.ToFloats(file.Read(info, (long)firstRow * width * type.SizeInBytes(), values.Length * type.SizeInBytes()), type, values);
    }

    /// <summary>Reads a vector.</summary>
    public float[] ReadVector(string name)
    {
        float[] values = new float[_tensors.Find(name)!.Value.Info.Shape[0]];
        ReadRows(name, 0, values.Length, values);
        return values;
    }

    /// <summary>Reads a token's embedding: [hidden].</summary>
    public void ReadEmbedding(int tokenId, Span<float> row) => ReadRows(Embedding, tokenId, _config.HiddenSize, row);

    /// <summary>Reads a layer.</summary>
    /// <param name="index">Its place.</param>
    /// <param name="intermediateSize">The width of the MLP, at least the model's.</param>
    public LayerWeights ReadLayer(int index, int intermediateSize)
    {
        var modules = new LayerModules(_config, index);
        int hidden = _config.HiddenSize, queryWidth = _config.NumAttentionHeads * _config.HeadDim, mlp = _config.IntermediateSize;
        HostMatrix[] qkv = [.. modules.Qkv.Select(part => Read(part, hidden, part.Rows, hidden, _description.QkvBias))];
        HostMatrix[] gateUp = [.. modules.GateUp.Select(part => Read(part, hidden, intermediateSize, hidden, _description.MlpBias))];
        return new LayerWeights(
            ReadVector(modules.Prefix + "input_layernorm.weight"), qkv[0], qkv[1], qkv[2],
            Read(modules.Output[0], queryWidth, hidden, queryWidth, _description.OutputBias),
            ReadVector(modules.Prefix + "post_attention_layernorm.weight"), gateUp[0], gateUp[1],
            Read(modules.Down[0], mlp, hidden, intermediateSize, _description.MlpBias));
    }

    public void Dispose() => _tensors.Dispose();

    private HostMatrix Read(MatrixPart part, int inFeatures, int wideRows, int wideInputs, bool hasBias)
    {
        float[] values = new float[checked(wideRows * wideInputs)];
        var bad = new ConcurrentBag<int>();
        Parallel.For(0, part.Rows, row =>
        {
            var target = values.AsSpan(row * wideInputs, inFeatures);
            ReadRows(part.Module + ".weight", row, inFeatures, target);
            foreach (float value in target)
            {
                if (!float.IsFinite(value))
                    bad.Add(row);
            }
        });
        if (!bad.IsEmpty)
            throw new CheckpointException(_tensors.Find(part.Module + ".weight")!.Value.File.Path, $"tensor {MessageText.Quote(part.Module + ".weight")}: row {bad.Min()}: not all of its values are finite");
        float[]? bias = null;
        if (hasBias)
        {
            bias = new float[wideRows];
            ReadVector(part.Module + ".bias").CopyTo(bias, 0);
        }
        return new HostMatrix(part.Module, wideRows, wideInputs, values, bias);
    }

    private void UseAll()
    {
        int hidden = _config.HiddenSize, queryWidth = _config.NumAttentionHeads * _config.HeadDim;
        Use(Embedding, _config.VocabSize, hidden);
        for (int i = 0; i < _config.NumHiddenLayers; i++)
        {
            var modules = new LayerModules(_config, i);
            Use(modules.Prefix + "input_layernorm.weight", hidden);
            Use(modules.Prefix + "post_attention_layernorm.weight", hidden);
            UseMatrices(modules.Qkv, hidden, _description.QkvBias);
            UseMatrices(modules.Output, queryWidth, _description.OutputBias);
            UseMatrices(modules.GateUp, hidden, _description.MlpBias);
            UseMatrices(modules.Down, _config.IntermediateSize, _description.MlpBias);
        }
        Use(FinalNorm, hidden);
        if (!_description.TieWordEmbeddings)
            Use(OutputLayer, _config.VocabSize, hidden);
        _tensors.VerifyAllUsed(LlamaModel.IgnorableTensors(_description));

        void UseMatrices(MatrixPart[] parts, int inFeatures, bool hasBias)
        {
            foreach (var part in parts)
            {
                Use(part.Module + ".weight", part.Rows, inFeatures);
                if (hasBias)
                    Use(part.Module + ".bias", part.Rows);
            }
        }

        void Use(string name, params long[] shape) => _tensors.UseElements(name, shape);
    }
}
