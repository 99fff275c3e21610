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
        var (config, attention) = (files.Config, LlamaModel.AttentionShapeOf(files.Config, files.Description));
        backend.ReserveWorkspace(numRows, attention, contextLen, LlamaModel.MaxInFeatures(config));
        var results = new List<KernelResult>();
        foreach (var (name, outFeatures, inFeatures) in new[]
        {
            ("qkv", attention.QkvWidth, config.HiddenSize), ("o", config.HiddenSize, attention.QueryWidth),
            ("gate-up", 2 * config.IntermediateSize, config.HiddenSize), ("down", config.HiddenSize, config.IntermediateSize),
            ("lm-head", config.VocabSize, config.HiddenSize),
        })
            results.Add(Linear(backend, name, outFeatures, inFeatures, files.DType, numRows));
        results.AddRange(Rows(backend, config.HiddenSize, config.IntermediateSize, numRows));
        results.AddRange(Attention(backend, attention, files.DType, numRows, contextLen, options.BlockSize));
        return results;
    }

    private static KernelResult Linear(Backend backend, string name, int outFeatures, int inFeatures, ElementType dtype, int numRows)
    {
        // Several copies, so that no weight is still in a cache when its turn comes again.
        int numCopies = (int)Math.Clamp((512L << 20) / backend.LinearByteLength(outFeatures, inFeatures, dtype, false), 1, SeriesLength);
        var weights = Enumerable.Range(0, numCopies).Select(_ => backend.CreateLinear(outFeatures, inFeatures, dtype, hasBias: false)).ToArray();
        using var input = backend.Allocate(ElementType.F32, (long)numRows * inFeatures);
        using var output = backend.Allocate(ElementType.F32, (long)numRows * outFeatures);
        foreach (var weight in weights)
            weight.FillRandom(1, 0.03f);
        backend.Upload(new float[(long)numRows * inFeatures], input);
        double seconds = Time(backend, i => backend.Linear(weights[i % numCopies], input, output, numRows));
        double bytes = weights[0].ByteLength + 4.0 * numRows * (inFeatures + outFeatures);
        foreach (var weight in weights)
            weight.Dispose();
        return Result($"linear {name} {outFeatures}x{inFeatures}", numRows, seconds, bytes, 2.0 * numRows * outFeatures * inFeatures);
    }

    private static IEnumerable<KernelResult> Rows(Backend backend, int hidden, int intermediate, int numRows)
    {
        using var x = backend.Allocate(ElementType.F32, (long)numRows * hidden);
        using var delta = backend.Allocate(ElementType.F32, (long)numRows * hidden);
        using var normed = backend.Allocate(ElementType.F32, (long)numRows * hidden);
        using var weight = backend.Allocate(ElementType.F32, hidden);
        using var gateUp = backend.Allocate(ElementType.F32, 2L * numRows * intermediate);
        using var mlp = backend.Allocate(ElementType.F32, (long)numRows * intermediate);
        foreach (var buffer in (DeviceBuffer[])[x, delta, weight, gateUp])
            backend.Upload(new float[buffer.Length], buffer);
        double norm = Time(backend, _ => backend.AddRmsNorm(x, delta, weight, normed, numRows, 1e-5f));
        yield return Result($"add-rms-norm {hidden}", numRows, norm, 16.0 * numRows * hidden, 6.0 * numRows * hidden);
        double silu = Time(backend, _ => backend.SiluMul(gateUp, mlp, numRows, intermediate));
        yield return Result($"silu-mul {intermediate}", numRows, silu, 12.0 * numRows * intermediate, 5.0 * numRows * intermediate);
    }

    private static IEnumerable<KernelResult> Attention(Backend backend, AttentionShape shape, ElementType dtype, int numRows, int contextLen, int blockSize)
    {
        int blocksPerSeq = (contextLen + blockSize - 1) / blockSize;
        using var cache = new KvCache(backend, shape, dtype, numLayers: 1, numRows * blocksPerSeq, blockSize);
        using var rotaryValues = backend.Allocate(ElementType.F32, (long)contextLen * shape.HeadDim);
        using var qkv = backend.Allocate(ElementType.F32, (long)numRows * shape.QkvWidth);
        using var output = backend.Allocate(ElementType.F32, (long)numRows * shape.QueryWidth);
        foreach (var buffer in (DeviceBuffer[])[rotaryValues, qkv])
            backend.Upload(new float[buffer.Length], buffer);
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
        double rotate = Time(backend, _ => backend.RotaryAndWriteKv(shape, qkv, rotary, layer, batch));
        yield return Result("rotary and cache write", numRows, rotate, 8.0 * numRows * shape.QkvWidth, 6.0 * numRows * shape.QkvWidth);
        double attend = Time(backend, _ => backend.PagedAttention(shape, qkv, layer, batch, output));
        yield return Result($"attention {contextLen} tokens", numRows, attend, 2.0 * numRows * contextLen * shape.KvWidth * dtype.SizeInBytes(),
            4.0 * numRows * contextLen * shape.QueryWidth);
        foreach (var buffer in (DeviceBuffer[])[batch.TokenIds, batch.Positions, batch.RotaryRows, batch.SlotMapping, batch.TokenSequences,
            batch.QueryStartLoc, batch.SeqLens, batch.BlockTables, batch.LogitsIndices])
            buffer.Dispose();
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
