using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Runs sequences through a model one layer at a time, on the engine's own kernels in float32: between layers the residual streams lie in the machine's memory,
/// and no more than a layer on the device.
/// </summary>
internal sealed class CalibrationPass : IDisposable
{
    private const int MaxTokens = 2048;
    private const int BlockSize = 16;

    private readonly Backend _backend;
    private readonly ModelConfig _config;
    private readonly ModelShape _shape;
    private readonly ModelDescription _description;
    private readonly IReadOnlyList<int[]> _sequences;
    private readonly float[][] _exact; // [numSequences][length, hidden]: residual streams of the model of floats
    private readonly float[][] _rounded; // the same of the model whose layers so far are quantized
    private readonly ActivationBuffers _buffers;
    private readonly KvCache _cache;
    private readonly RotaryTableBuilder _rotary;
    private readonly InputBatch _batch;
    private readonly int _maxSeqs;

    /// <param name="backend">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="description">Its kind.</param>
    /// <param name="sequences">Tokens, at most 2048 each.</param>
    /// <param name="embed">Writes a token's embedding: [hidden].</param>
    public CalibrationPass(Backend backend, ModelConfig config, ModelDescription description, IReadOnlyList<int[]> sequences, EmbeddingReader embed)
    {
        int longest = sequences.Max(sequence => sequence.Length), hidden = config.HiddenSize;
        _maxSeqs = Math.Max(1, MaxTokens / longest);
        MaxBatchTokens = _maxSeqs * longest;
        (_backend, _config, _description, _sequences) = (backend, config, description, sequences);
        _shape = LlamaModel.ShapeOf(config, description, ElementType.F32);
        _buffers = new ActivationBuffers(backend, _shape, 1, MaxBatchTokens, 1);
        backend.ReserveWorkspace(new WorkspaceShape(_shape, MaxBatchTokens, _maxSeqs, longest));
        int blocksPerSeq = (longest + BlockSize - 1) / BlockSize;
        _cache = new KvCache(backend, _shape, 1, _maxSeqs * blocksPerSeq, BlockSize);
        _rotary = new RotaryTableBuilder(backend, new RotaryEmbedding(config), longest, MaxBatchTokens, config.HeadDim);
        _batch = new InputBatch(backend, MaxBatchTokens, _maxSeqs, 1, longest, BlockSize);
        _exact = [.. sequences.Select(sequence => new float[sequence.Length * hidden])];
        Parallel.For(0, sequences.Count, s =>
        {
            for (int t = 0; t < sequences[s].Length; t++)
                embed(sequences[s][t], _exact[s].AsSpan(t * hidden, hidden));
        });
        _rounded = [.. _exact.Select(values => values.ToArray())];
    }

    /// <summary>The most tokens that an observer is shown at a time.</summary>
    public int MaxBatchTokens { get; }

    /// <summary>Makes a layer of weights on the device.</summary>
    public LlamaLayer CreateLayer(LayerWeights weights, int index)
    {
        var layer = new LlamaLayer(_backend, _description, _shape, new LayerForms(MatrixForm.Elements, MatrixForm.Elements, MatrixForm.Elements, MatrixForm.Elements));
        Load(layer, weights, index);
        return layer;
    }

    /// <summary>Fills a layer with other weights.</summary>
    public void Load(LlamaLayer layer, LayerWeights weights, int index)
    {
        using var source = new HostWeightSource(weights);
        layer.Load(source, _backend, _config, index);
    }

    /// <summary>Measures an input of the next layer.</summary>
    /// <param name="exact">The layer in floats, which is given what the model of floats gives it.</param>
    /// <param name="rounded">The layer as far as it is quantized, which is given what the quantized layers before it do.</param>
    /// <param name="input">Which input.</param>
    /// <param name="statistics">Where rows are added.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public void Measure(LlamaLayer exact, LlamaLayer rounded, LayerInput input, InputStatistics statistics, CancellationToken cancellationToken)
    {
        var (wanted, actual) = (new RowReader(_backend, input, statistics.Width), new RowReader(_backend, input, statistics.Width));
        ForEachBatch(cancellationToken, (first, count) =>
        {
            Run(exact, _exact, first, count, wanted);
            Run(rounded, _rounded, first, count, actual);
            statistics.Add(actual.Rows, wanted.Rows);
        });
    }

    /// <summary>Goes on to the layer after this one.</summary>
    public void Advance(LlamaLayer exact, LlamaLayer rounded, CancellationToken cancellationToken) => ForEachBatch(cancellationToken, (first, count) =>
    {
        foreach (var (layer, streams) in (ReadOnlySpan<(LlamaLayer, float[][])>)[(exact, _exact), (rounded, _rounded)])
        {
            Run(layer, streams, first, count, null);
            int row = 0;
            for (int s = first; s < first + count; row += streams[s++].Length)
                _backend.Download(_buffers.Hidden.Slice(row, streams[s].Length), streams[s]);
        }
    });

    public void Dispose()
    {
        _buffers.Dispose();
        _cache.Dispose();
        _rotary.Dispose();
        _batch.Dispose();
    }

    private void ForEachBatch(CancellationToken cancellationToken, Action<int, int> run)
    {
        for (int first = 0; first < _sequences.Count; first += _maxSeqs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            run(first, Math.Min(_maxSeqs, _sequences.Count - first));
        }
    }

    private void Run(LlamaLayer layer, float[][] streams, int first, int count, ILayerObserver? observer)
    {
        var scheduled = new SchedulerOutput(_maxSeqs);
        int numBlocks = 0, row = 0;
        for (int s = first; s < first + count; s++)
        {
            var request = new Request($"{s}", _sequences[s], new SamplingParams(), 1, 0, [], BlockSize);
            for (int i = 0; i < request.MaxBlocks; i++)
                request.AppendBlock(numBlocks++);
            scheduled.Add(request, _sequences[s].Length);
        }
        _batch.Fill(scheduled, _rotary);
        for (int s = first; s < first + count; row += streams[s++].Length)
            _backend.Upload(streams[s], _buffers.Hidden.Slice(row, streams[s].Length));
        layer.Forward(_backend, _shape.Attention, _config.RmsNormEps, _buffers, _batch.Metadata, _rotary.Table, _cache.Layers[0], observer);
    }

    /// <summary>Fetches one input's rows and stops the layer there.</summary>
    private sealed class RowReader(Backend backend, LayerInput wanted, int width) : ILayerObserver
    {
        private float[] _rows = [];

        public ReadOnlyMemory<float> Rows { get; private set; }

        public bool Observe(LayerInput input, DeviceBuffer rows, int numRows)
        {
            if (input != wanted)
                return true;
            if (_rows.Length < numRows * width)
                _rows = new float[numRows * width];
            backend.Download(rows, _rows.AsSpan(0, numRows * width));
            Rows = _rows.AsMemory(0, numRows * width);
            return false;
        }
    }
}

/// <summary>Writes a token's row of the embedding table: [hidden].</summary>
internal delegate void EmbeddingReader(int tokenId, Span<float> row);
