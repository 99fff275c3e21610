using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Golden;

/// <summary>A model without the engine around it: logits of every position of a prompt, computed in one chunk.</summary>
internal sealed class ModelProbe : IDisposable
{
    private const int MaxTokens = 512;
    private const int BlockSize = 16;

    private readonly Backend _backend;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly RotaryTableBuilder _rotary;
    private readonly InputBatch _batch;

    public ModelProbe(string folder, string device, string dtype, int maxTokens = MaxTokens, string quantization = "auto")
    {
        var options = new EngineOptions { Model = folder, DType = dtype, Quantization = quantization };
        var files = ModelFiles.Read(options);
        Config = files.Config;
        _backend = BackendFactory.Create(device, 0);
        _model = new LlamaModel(_backend, Config, files.Description, files.Shape, files.ReadLayerForms(options), maxTokens, maxTokens);
        using (var source = files.OpenWeights(options, 0))
            _model.Load(source);
        _backend.ReserveWorkspace(new WorkspaceShape(_model.Shape, maxTokens, 1, maxTokens));
        _cache = new KvCache(_backend, _model.Attention, files.DType, Config.NumHiddenLayers, maxTokens / BlockSize + 1, BlockSize);
        _rotary = new RotaryTableBuilder(_backend, new RotaryEmbedding(Config), maxTokens, maxTokens, Config.HeadDim);
        _batch = new InputBatch(_backend, maxTokens, 1, maxTokens, maxTokens, BlockSize);
    }

    public ModelConfig Config { get; }

    /// <summary>[ids.Length][vocabSize].</summary>
    public float[][] Logits(int[] ids)
    {
        var request = new Request("probe", ids, new SamplingParams(), 1, 0, [], BlockSize);
        for (int block = 0; block < request.MaxBlocks; block++)
            request.AppendBlock(block);
        var scheduled = new SchedulerOutput(1);
        scheduled.Add(request, ids.Length);
        _batch.Fill(scheduled, _rotary);
        _model.Forward(_batch.Metadata, _rotary.Table, _cache.Layers);
        _batch.SendLogitsIndices([.. Enumerable.Range(0, ids.Length)]);
        _model.ComputeLogits(_batch.Metadata);
        float[] flat = new float[ids.Length * Config.VocabSize];
        _backend.Download(_model.Logits, flat);
        return [.. flat.Chunk(Config.VocabSize)];
    }

    public void Dispose()
    {
        _model.Dispose();
        _cache.Dispose();
        _rotary.Dispose();
        _batch.Dispose();
        _backend.Dispose();
    }
}
