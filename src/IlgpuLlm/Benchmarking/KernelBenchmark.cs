using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Benchmarking;

/// <summary>Times the operations of a step, each alone, on random weights and activations: zeros would draw less power and run at a higher clock.</summary>
public sealed partial class KernelBenchmark
{
    private readonly Backend _backend;
    private readonly KernelTimer _timer;
    private readonly KernelBenchmarkOptions _what;
    private readonly ModelShape _model;
    private readonly ElementType _activation;
    private readonly double _copyGigabytesPerSecond;
    private readonly double? _peakTeraflops;
    private readonly CpuPeak? _cpuPeak;
    private readonly List<KernelResult> _results = [];

    private KernelBenchmark(Backend backend, KernelBenchmarkOptions what, ModelShape model, double copyGigabytesPerSecond)
    {
        _backend = backend;
        _timer = new KernelTimer(backend);
        _what = what;
        _model = model;
        _activation = backend.ActivationType(model);
        _copyGigabytesPerSecond = copyGigabytesPerSecond;
        _cpuPeak = (backend as CpuBackend)?.MeasurePeak();
        _peakTeraflops = _cpuPeak is { } peak ? peak.Gigaflops / 1e3 : model.Weights == ElementType.F16 ? DevicePeak.Of(backend.Description)?.Teraflops : null;
    }

    private ElementType DType => _model.Weights;

    private int NumRows => _what.PrefillLen ?? _what.NumRows;

    private int ContextLen => _what.PrefillLen ?? _what.ContextLen;

    /// <summary>Runs it.</summary>
    /// <param name="options">The model (config.json alone is read), device and dtype.</param>
    /// <param name="what">The operations and sizes.</param>
    /// <exception cref="IlgpuLlmException">As <see cref="LLM"/>'s constructor.</exception>
    public static IReadOnlyList<KernelResult> Run(EngineOptions options, KernelBenchmarkOptions what)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(what);
        what.Validate();
        var files = ModelFiles.Read(options);
        double copy = CopyBandwidth.Measure(options);
        using var backend = BackendFactory.Create(options);
        var benchmark = new KernelBenchmark(backend, what, files.Shape, copy);
        benchmark.Run(files.Config, options.BlockSize);
        return benchmark._results;
    }

    private void Run(ModelConfig config, int blockSize)
    {
        int vocab = config.VocabSize;
        int maxRows = _what.LinearShapes.Select(s => s.NumRows).Append(NumRows).Max();
        _backend.ReserveWorkspace(new WorkspaceShape(_model, maxRows, maxRows, ContextLen));
        foreach (var (rows, outFeatures, inFeatures) in _what.LinearShapes)
            Linear("", outFeatures, inFeatures, rows, _activation, _backend.Linear);
        if (_what.LinearShapes.Count > 0)
            return;
        var (hidden, intermediate, attention) = (_model.HiddenSize, _model.IntermediateSize, _model.Attention);
        Linear("qkv ", attention.QkvWidth, hidden, NumRows, _activation, _backend.Linear);
        Linear("o + residual ", hidden, attention.QueryWidth, NumRows, ElementType.F32, _backend.LinearAdd);
        Linear("gate-up + silu ", 2 * intermediate, hidden, NumRows, _activation, _backend.LinearSiluMul, isGateUp: true);
        Linear("down + residual ", hidden, intermediate, NumRows, ElementType.F32, _backend.LinearAdd);
        Linear("lm-head ", vocab, hidden, _what.PrefillLen is null ? NumRows : 1, ElementType.F32, _backend.Linear, isQuantizable: false);
        Norm(hidden);
        Attention(attention, new RotaryEmbedding(config), blockSize);
        Sampling(vocab);
    }

    private void Linear(
        string role, int outFeatures, int inFeatures, int numRows, ElementType outputType, Action<LinearWeight, DeviceBuffer, DeviceBuffer, int> operation,
        bool isGateUp = false, bool isQuantizable = true)
    {
        var format = isQuantizable ? _model.Quantization : null;
        string name = $"linear {role}{outFeatures}x{inFeatures}{(format is null ? "" : $" int{format.Bits}")}";
        if (!IsWanted(name))
            return;
        double weightBytes = format is null ? (double)outFeatures * inFeatures * DType.SizeInBytes() : QuantizedBytes(format, outFeatures, inFeatures);
        int numCopies = _timer.NumCopies((long)weightBytes);
        var weights = Enumerable.Range(0, numCopies).Select(_ => CreateLinear(format, outFeatures, inFeatures, isGateUp)).ToArray();
        try
        {
            for (int i = 0; i < numCopies; i++)
                weights[i].FillRandom((ulong)i, 0.03f);
            using var input = Random(_activation, (long)numRows * inFeatures);
            int outputWidth = isGateUp ? outFeatures / 2 : outFeatures;
            using var output = _backend.Allocate(outputType, (long)numRows * outputWidth);
            double bytes = weightBytes + (double)numRows * (inFeatures * _activation.SizeInBytes() + outputWidth * outputType.SizeInBytes());
            Measure(name, numRows, numCopies, i => operation(weights[i], input, output, numRows), bytes, 2.0 * numRows * outFeatures * inFeatures);
        }
        finally
        {
            foreach (var weight in weights)
                weight.Dispose();
        }
    }

    private LinearWeight CreateLinear(QuantizationFormat? format, int outFeatures, int inFeatures, bool isGateUp) => (format, isGateUp) switch
    {
        (null, true) => _backend.CreateGateUp(_model, hasBias: false),
        (null, false) => _backend.CreateLinear(outFeatures, inFeatures, DType, hasBias: false),
        (_, true) => _backend.CreateQuantizedGateUp(_model, format, hasBias: false, []),
        _ => _backend.CreateQuantizedLinear(outFeatures, inFeatures, format, hasBias: false, []),
    };

    /// <summary>What must be read: codes, and a scale of 16 bits and a zero point of the codes' bits for each group.</summary>
    private static double QuantizedBytes(QuantizationFormat format, int outFeatures, int inFeatures) =>
        (double)outFeatures * (inFeatures * format.Bits + format.NumGroups(inFeatures) * (16 + format.Bits)) / 8;

    private void Norm(int hidden)
    {
        using var x = Random(ElementType.F32, (long)NumRows * hidden);
        using var normed = _backend.Allocate(_activation, (long)NumRows * hidden);
        using var weight = Random(ElementType.F32, hidden);
        Measure($"rms-norm {hidden}", NumRows, 1, _ => _backend.RmsNorm(x, weight, normed, NumRows, 1e-5f),
            (sizeof(float) + _activation.SizeInBytes()) * (double)NumRows * hidden, 4.0 * NumRows * hidden);
    }

    private void Attention(AttentionShape shape, RotaryEmbedding frequencies, int blockSize)
    {
        int numSeqs = _what.PrefillLen is null ? NumRows : 1, numTokens = NumRows, contextLen = ContextLen;
        int blocksPerSeq = (contextLen + blockSize - 1) / blockSize;
        double tokenBytes = KvCache.TokenByteLength(_model), kvBytes = numSeqs * contextLen * tokenBytes;
        int numCopies = _timer.NumCopies((long)kvBytes);
        using var cache = new KvCache(_backend, _model, numCopies, numSeqs * blocksPerSeq, blockSize);
        using var rotaryTable = new RotaryTableBuilder(_backend, frequencies, contextLen, 1, shape.HeadDim);
        var rotary = rotaryTable.Table;
        using var qkv = Random(_activation, (long)numTokens * shape.QkvWidth);
        using var output = _backend.Allocate(_activation, (long)numTokens * shape.QueryWidth);
        var batch = Batch(numSeqs, numTokens / numSeqs, contextLen, blocksPerSeq, blockSize);
        int queryLen = numTokens / numSeqs;
        double numSeen = numSeqs * new AttentionWindow(shape.SlidingWindow).NumSeen(contextLen - queryLen, contextLen);
        // Prefill reads all keys and values once, a decode step those that its window shows.
        double seenBytes = queryLen > 1 ? kvBytes : numSeen * tokenBytes;
        double qkvBytes = (double)_activation.SizeInBytes() * numTokens * shape.QkvWidth, outputBytes = (double)_activation.SizeInBytes() * numTokens * shape.QueryWidth;
        if (_what.PrefillLen is null)
        {
            Measure($"rotary, attention {contextLen} tokens", numTokens, numCopies, i => _backend.Attention(shape, qkv, rotary, cache.Layers[i], batch, output),
                seenBytes + qkvBytes + outputBytes, 4 * numSeen * shape.QueryWidth);
        }
        else
        {
            for (int i = 0; i < numCopies; i++)
                _backend.RotaryAndWriteKv(shape, qkv, rotary, cache.Layers[i], batch); // attention may be wanted alone
            Measure("rotary and cache write", numTokens, numCopies, i => _backend.RotaryAndWriteKv(shape, qkv, rotary, cache.Layers[i], batch), 2 * qkvBytes, 3 * qkvBytes);
            Measure($"prefill attention {contextLen} tokens", numTokens, numCopies, i => _backend.PagedAttention(shape, qkv, cache.Layers[i], batch, output),
                seenBytes + 2 * outputBytes, 4 * numSeen * shape.QueryWidth);
        }
        foreach (var buffer in (DeviceBuffer[])[batch.TokenIds, batch.Positions, batch.RotaryRows, batch.SlotMapping, batch.TokenSequences,
            batch.QueryStartLoc, batch.SeqLens, batch.BlockTables, batch.LogitsIndices])
            buffer.Dispose();
    }

    /// <summary>Sequences of contextLen tokens whose last queryLen are computed.</summary>
    private BatchMetadata Batch(int numSeqs, int queryLen, int contextLen, int blocksPerSeq, int blockSize)
    {
        DeviceBuffer Ints(IEnumerable<int> values)
        {
            int[] array = [.. values];
            var buffer = _backend.Allocate(ElementType.I32, array.Length);
            _backend.Upload(array, buffer);
            return buffer;
        }
        var tokens = Enumerable.Range(0, numSeqs * queryLen);
        int Position(int token) => contextLen - queryLen + token % queryLen;
        return new BatchMetadata
        {
            TokenIds = Ints(tokens.Select(_ => 0)),
            Positions = Ints(tokens.Select(Position)),
            RotaryRows = Ints(tokens.Select(Position)),
            SlotMapping = Ints(tokens.Select(t => t / queryLen * blocksPerSeq * blockSize + Position(t))),
            TokenSequences = Ints(tokens.Select(t => t / queryLen)),
            QueryStartLoc = Ints(Enumerable.Range(0, numSeqs + 1).Select(s => s * queryLen)),
            SeqLens = Ints(Enumerable.Repeat(contextLen, numSeqs)),
            BlockTables = Ints(Enumerable.Range(0, numSeqs * blocksPerSeq)),
            LogitsIndices = Ints(Enumerable.Range(0, numSeqs).Select(s => (s + 1) * queryLen - 1)),
            MaxBlocksPerSeq = blocksPerSeq,
            NumTokens = numSeqs * queryLen,
            NumSeqs = numSeqs,
            NumLogits = numSeqs,
            MaxQueryLen = queryLen,
            MaxSeqLen = contextLen,
        };
    }

    private bool IsWanted(string name) => _what.Filter is null || name.Contains(_what.Filter, StringComparison.Ordinal);

    private void Measure(string name, int numRows, int numCopies, Action<int> operation, double bytes, double flops)
    {
        if (!IsWanted(name))
            return;
        double seconds = _timer.Time(numCopies, operation);
        double gigabytes = bytes / seconds / 1e9, teraflops = flops / seconds / 1e12;
        _results.Add(new KernelResult(
            name, numRows, seconds * 1e6, gigabytes, teraflops, 100 * gigabytes / _copyGigabytesPerSecond, 100 * teraflops / _peakTeraflops, _cpuPeak));
    }

    /// <summary>Values in [-1, 1].</summary>
    private DeviceBuffer Random(ElementType type, long length)
    {
        const int Piece = 1 << 20;
        var random = new Random(1);
        var values = new float[(int)Math.Min(length, Piece)];
        for (int i = 0; i < values.Length; i++)
            values[i] = 2 * random.NextSingle() - 1;
        Half[] halves = Array.ConvertAll(values, v => (Half)v);
        var buffer = _backend.Allocate(type, length);
        for (long first = 0; first < length; first += Piece)
        {
            int count = (int)Math.Min(Piece, length - first);
            if (type == ElementType.F16)
                _backend.Upload(halves.AsSpan(0, count), buffer.Slice(first, count));
            else
                _backend.Upload(values.AsSpan(0, count), buffer.Slice(first, count));
        }
        return buffer;
    }
}
