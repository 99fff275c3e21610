using System.Diagnostics;
using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Models;

namespace IlgpuLlm.Benchmarking;

/// <summary>One operation alone at a model's shape.</summary>
/// <param name="Name">The operation and its shape.</param>
/// <param name="NumRows">Tokens.</param>
/// <param name="Microseconds">The best average of a series.</param>
/// <param name="GigabytesPerSecond">Bytes that it must at least move, over the time.</param>
/// <param name="Teraflops">Multiplications and additions, over the time.</param>
public sealed record KernelResult(string Name, int NumRows, double Microseconds, double GigabytesPerSecond, double Teraflops);

/// <summary>Times the operations of a decode step, each alone, on random weights.</summary>
public static class KernelBenchmark
{
    private const int SeriesLength = 20, NumSeries = 5;

    /// <summary>Runs it.</summary>
    /// <param name="options">The model (config.json alone is read), device and dtype.</param>
    /// <param name="numRows">Tokens of one sequence each.</param>
    /// <param name="contextLen">Tokens that each sequence has in the cache.</param>
    /// <exception cref="IlgpuLlmException">As <see cref="LLM"/>'s constructor.</exception>
    public static IReadOnlyList<KernelResult> Run(EngineOptions options, int numRows, int contextLen)
    {
        if (numRows < 1)
            throw new InvalidOptionException("batch-size", $"{numRows} must be at least 1");
        if (contextLen < 1)
            throw new InvalidOptionException("context-len", $"{contextLen} must be at least 1");
        var files = ModelFiles.Read(options);
        using var backend = BackendFactory.Create(options.Device, options.NumThreads);
        var config = files.Config;
        var shape = LlamaModel.ShapeOf(config, files.Description, files.DType);
        var attention = shape.Attention;
        backend.ReserveWorkspace(new WorkspaceShape(shape, numRows, numRows, contextLen));
        var results = new List<KernelResult>();
        foreach (var (name, outFeatures, inFeatures) in new[]
        {
            ("qkv", attention.QkvWidth, config.HiddenSize), ("o + residual", config.HiddenSize, attention.QueryWidth),
            ("gate-up + silu", 2 * config.IntermediateSize, config.HiddenSize), ("down + residual", config.HiddenSize, config.IntermediateSize),
            ("lm-head", config.VocabSize, config.HiddenSize),
        })
            results.Add(Linear(backend, shape, name, outFeatures, inFeatures, numRows));
        results.Add(Norm(backend, shape, numRows));
        results.AddRange(Attention(backend, shape, numRows, contextLen, options.BlockSize));
        return results;
    }

    private static KernelResult Linear(Backend backend, ModelShape shape, string name, int outFeatures, int inFeatures, int numRows)
    {
        var (dtype, activation) = (shape.Weights, backend.ActivationType(shape));
        bool isGateUp = name.StartsWith("gate-up", StringComparison.Ordinal), isAdd = name.EndsWith("residual", StringComparison.Ordinal);
        // Several copies, so that no weight is still in a cache when its turn comes again.
        int numCopies = (int)Math.Clamp((512L << 20) / backend.LinearByteLength(outFeatures, inFeatures, dtype, false), 1, SeriesLength);
        var weights = Enumerable.Range(0, numCopies).Select(_ => isGateUp
            ? backend.CreateGateUp(shape, hasBias: false)
            : backend.CreateLinear(outFeatures, inFeatures, dtype, hasBias: false)).ToArray();
        using var input = Zeros(backend, activation, (long)numRows * inFeatures);
        bool isWide = isAdd || name == "lm-head"; // the residual stream and logits
        using var output = backend.Allocate(isWide ? ElementType.F32 : activation, (long)numRows * outFeatures);
        foreach (var weight in weights)
            weight.FillRandom(1, 0.03f);
        double seconds = Time(backend, i =>
        {
            if (isGateUp)
                backend.LinearSiluMul(weights[i % numCopies], input, output, numRows);
            else if (isAdd)
                backend.LinearAdd(weights[i % numCopies], input, output, numRows);
            else
                backend.Linear(weights[i % numCopies], input, output, numRows);
        });
        double bytes = weights[0].ByteLength + (double)numRows * (inFeatures * activation.SizeInBytes() + outFeatures * output.Type.SizeInBytes());
        foreach (var weight in weights)
            weight.Dispose();
        return Result($"linear {name} {outFeatures}x{inFeatures}", numRows, seconds, bytes, 2.0 * numRows * outFeatures * inFeatures);
    }

    private static KernelResult Norm(Backend backend, ModelShape shape, int numRows)
    {
        int hidden = shape.HiddenSize;
        var activation = backend.ActivationType(shape);
        using var x = Zeros(backend, ElementType.F32, (long)numRows * hidden);
        using var normed = backend.Allocate(activation, (long)numRows * hidden);
        using var weight = Zeros(backend, ElementType.F32, hidden);
        double norm = Time(backend, _ => backend.RmsNorm(x, weight, normed, numRows, 1e-5f));
        return Result($"rms-norm {hidden}", numRows, norm, (4.0 + activation.SizeInBytes()) * numRows * hidden, 4.0 * numRows * hidden);
    }

    private static IEnumerable<KernelResult> Attention(Backend backend, ModelShape model, int numRows, int contextLen, int blockSize)
    {
        var (shape, dtype, activation) = (model.Attention, model.Weights, backend.ActivationType(model));
        int blocksPerSeq = (contextLen + blockSize - 1) / blockSize;
        using var cache = new KvCache(backend, shape, dtype, numLayers: 1, numRows * blocksPerSeq, blockSize);
        using var rotaryValues = Zeros(backend, ElementType.F32, (long)contextLen * shape.HeadDim);
        using var qkv = Zeros(backend, activation, (long)numRows * shape.QkvWidth);
        using var output = backend.Allocate(activation, (long)numRows * shape.QueryWidth);
        var rotary = new RotaryTable(rotaryValues, contextLen, shape.HeadDim);
        DeviceBuffer Ints(IEnumerable<int> values)
        {
            int[] array = [.. values];
            var buffer = backend.Allocate(ElementType.I32, array.Length);
            backend.Upload(array, buffer);
            return buffer;
        }
        var rows = Enumerable.Range(0, numRows);
        var batch = new BatchMetadata
        {
            TokenIds = Ints(rows),
            Positions = Ints(rows.Select(_ => contextLen - 1)),
            RotaryRows = Ints(rows.Select(_ => contextLen - 1)),
            SlotMapping = Ints(rows.Select(s => s * blocksPerSeq * blockSize + contextLen - 1)),
            TokenSequences = Ints(rows),
            QueryStartLoc = Ints(Enumerable.Range(0, numRows + 1)),
            SeqLens = Ints(rows.Select(_ => contextLen)),
            BlockTables = Ints(Enumerable.Range(0, numRows * blocksPerSeq)),
            LogitsIndices = Ints(rows),
            MaxBlocksPerSeq = blocksPerSeq,
            NumTokens = numRows,
            NumSeqs = numRows,
            NumLogits = numRows,
            MaxQueryLen = 1,
            MaxSeqLen = contextLen,
        };
        var layer = cache.Layers[0];
        double seconds = Time(backend, _ => backend.Attention(shape, qkv, rotary, layer, batch, output));
        yield return Result($"rotary, cache write, attention {contextLen} tokens", numRows, seconds,
            2.0 * numRows * contextLen * shape.KvWidth * dtype.SizeInBytes(), 4.0 * numRows * contextLen * shape.QueryWidth);
        foreach (var buffer in (DeviceBuffer[])[batch.TokenIds, batch.Positions, batch.RotaryRows, batch.SlotMapping, batch.TokenSequences,
            batch.QueryStartLoc, batch.SeqLens, batch.BlockTables, batch.LogitsIndices])
            buffer.Dispose();
    }

    private static DeviceBuffer Zeros(Backend backend, ElementType type, long length)
    {
        var buffer = backend.Allocate(type, length);
        backend.Clear(buffer);
        return buffer;
    }

    /// <summary>Seconds of one operation: the best average of some series, each recorded as one graph where the device has graphs.</summary>
    private static double Time(Backend backend, Action<int> operation)
    {
        void Series()
        {
            for (int i = 0; i < SeriesLength; i++)
                operation(i);
        }
        Series();
        backend.Synchronize();
        using var graph = backend.SupportsGraphs ? backend.CaptureGraph(Series) : null;
        double best = double.PositiveInfinity;
        for (int i = 0; i <= NumSeries; i++)
        {
            long start = Stopwatch.GetTimestamp();
            if (graph is null)
                Series();
            else
                graph.Launch();
            backend.Synchronize();
            if (i > 0) // the first one warms up
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / SeriesLength);
        }
        return best;
    }

    private static KernelResult Result(string name, int numRows, double seconds, double bytes, double flops) =>
        new(name, numRows, seconds * 1e6, bytes / seconds / 1e9, flops / seconds / 1e12);
}
