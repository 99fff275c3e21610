using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Tools;

/// <summary>
/// Measures the attention kernels alone. Of halves: prompts with FlashAttention, by mma and by wgmma, and the rotary embedding before it, decode steps with
/// DecodeAttention in CUDA graphs whose launches take turns with caches that no cache of the device holds together. Of floats: prompts with FlashAttention in
/// single precision and with the portable kernel.
/// </summary>
internal static class AttentionCommand
{
    private const int BlockSize = 16;
    private const int NumRepetitions = 5;
    private const int MaxLayers = 32;
    private const long RotatedBytes = 4L << 30;
    private const int FewCapacity = 4096, MostFewLayers = 512;
    private const long RotatedFewBytes = 512L << 20;

    private static readonly int[] PromptLengths = [512, 2048, 4096, 16384];
    private static readonly int[] SequenceCounts = [1, 8, 64, 128];
    private static readonly int[] ContextLengths = [16, 128, 1024, 2048];
    private static readonly int[] FewLengths = [16, 64, 128, 144, 192, 272, 512, 1024, 2048];

    public static Command Create()
    {
        var device = new Option<int>("--device") { Description = "The CUDA device." };
        var heads = new Option<int>("--heads") { Description = "Query heads.", DefaultValueFactory = _ => 32 };
        var kvHeads = new Option<int>("--kv-heads") { Description = "Key-value heads.", DefaultValueFactory = _ => 32 };
        var prefillOnly = new Option<bool>("--prefill") { Description = "Prompts only." };
        var few = new Option<bool>("--few") { Description = "Decode steps of one to three sequences only, merged in clusters and through global memory." };
        var floats = new Option<bool>("--float32") { Description = "Prompts of floats in place of all else; the cache is of --cache." };
        var cache = new Option<ElementType>("--cache") { Description = "The type of the cache for --float32: F32 or F16.", DefaultValueFactory = _ => ElementType.F32 };
        cache.AcceptOnlyFromAmong(nameof(ElementType.F32), nameof(ElementType.F16));
        var headDim = new Option<int>("--head-dim") { Description = "Elements in a head.", DefaultValueFactory = _ => 128 };
        var command = new Command("attention", "Times attention on a CUDA device.") { device, heads, kvHeads, headDim, prefillOnly, few, floats, cache };
        command.SetAction(result =>
        {
            using CudaGpuDevice gpu = CudaGpuDevice.Create(result.GetValue(device));
            int dim = result.GetValue(headDim);
            var shape = new AttentionShape(result.GetValue(heads), result.GetValue(kvHeads), dim, 0, 1 / MathF.Sqrt(dim));
            Console.WriteLine($"{gpu.Description}, {shape.NumHeads} heads of {dim} on {shape.NumKvHeads} key-value heads, blocks of {BlockSize}");
            if (result.GetValue(few))
            {
                for (int numSeqs = 1; numSeqs <= 3; numSeqs++)
                {
                    foreach (int length in FewLengths)
                        MeasureFew(gpu, shape, numSeqs, length);
                }
                return 0;
            }
            if (result.GetValue(floats))
            {
                foreach (int length in PromptLengths)
                    MeasureFloats(gpu, shape, length, result.GetValue(cache));
                return 0;
            }
            foreach (int length in PromptLengths)
                MeasurePrompt(gpu, shape, length);
            foreach (int numSeqs in result.GetValue(prefillOnly) ? [] : SequenceCounts)
            {
                foreach (int length in ContextLengths)
                    MeasureDecode(gpu, shape, numSeqs, length);
            }
            return 0;
        });
        return command;
    }

    private static void MeasurePrompt(CudaGpuDevice gpu, AttentionShape shape, int length)
    {
        using var inputs = new Inputs(gpu, shape, numSeqs: 1, queryLength: length, length, numLayers: 1);
        var kernel = new FlashAttentionKernel(gpu);
        Report("mma", () => kernel.Launch(shape, inputs.Qkv, inputs.Layers[0], inputs.Batch, inputs.Output));
        using var hopper = new HopperFlashAttentionKernel(gpu);
        if (hopper.Supports(shape))
            Report("wgmma", () => hopper.Launch(shape, inputs.Qkv, inputs.Layers[0], inputs.Batch, inputs.Output));
        using var table = GpuBuffer.Allocate(gpu, ElementType.F32, (long)length * shape.HeadDim);
        new FillRandomKernel(gpu).Launch(table, 1, 0.5f);
        var rotaryTable = new RotaryTable(table, length, shape.HeadDim);
        var rotary = new RotaryKernel(gpu);
        double bytes = 2.0 * length * (2 * shape.QkvWidth); // what is read, and what is written to qkv and the cache
        double us = Time(gpu, 10, _ => rotary.Launch(shape, inputs.Qkv, rotaryTable, inputs.Layers[0], inputs.Batch));
        Console.WriteLine(FormattableString.Invariant($"rotary {length,6} tokens              {us,9:F1} us {bytes / us / 1e6,8:F2} TB/s"));

        void Report(string name, Action launch) => ReportPrompt(gpu, shape, length, name, launches: 10, launch);
    }

    private static void MeasureFloats(CudaGpuDevice gpu, AttentionShape shape, int length, ElementType cache)
    {
        using var inputs = new Inputs(gpu, shape, numSeqs: 1, queryLength: length, length, numLayers: 1, ElementType.F32, cache);
        var flash = new FloatFlashKernel(gpu);
        var portable = new AttentionKernel(gpu);
        if (flash.CanLaunch(shape, inputs.Qkv, inputs.Layers[0], inputs.Output))
            ReportPrompt(gpu, shape, length, "float", launches: 10, () => flash.Launch(shape, inputs.Qkv, inputs.Layers[0], inputs.Batch, inputs.Output));
        ReportPrompt(gpu, shape, length, "plain", launches: 1, () => portable.Launch(shape, inputs.Qkv, inputs.Layers[0], inputs.Batch, inputs.Output));
    }

    private static void ReportPrompt(CudaGpuDevice gpu, AttentionShape shape, int length, string name, int launches, Action launch)
    {
        double time = Time(gpu, launches, _ => launch());
        double flops = 4 * ((double)length * length / 2) * shape.QueryWidth;
        Console.WriteLine(FormattableString.Invariant($"prefill {length,5} tokens, {name,-5} {time,9:F1} us {flops / time / 1e6,8:F1} TFLOP/s"));
    }

    private static void MeasureDecode(CudaGpuDevice gpu, AttentionShape shape, int numSeqs, int length)
    {
        long bytes = 4L * numSeqs * length * shape.KvWidth;
        int numLayers = (int)Math.Clamp(RotatedBytes / bytes, 2, MaxLayers);
        using var inputs = new Inputs(gpu, shape, numSeqs, queryLength: 1, length, numLayers);
        using var table = GpuBuffer.Allocate(gpu, ElementType.F32, (long)length * shape.HeadDim);
        new FillRandomKernel(gpu).Launch(table, 1, 1f);
        var rotary = new RotaryTable(table, length, shape.HeadDim);
        using var kernel = new DecodeAttentionKernel(gpu);
        kernel.Reserve(numSeqs, shape, ElementType.F16);
        double us = Time(gpu, numLayers * Math.Max(1, MaxLayers / numLayers), i =>
            kernel.Launch(shape, inputs.Qkv, rotary, inputs.Layers[i % numLayers], inputs.Batch, inputs.Output));
        Console.WriteLine(FormattableString.Invariant($"decode {numSeqs,4} sequences of {length,5}    {us,9:F1} us {bytes / us / 1e6,8:F2} TB/s"));
    }

    /// <summary>Batches that leave most of the device idle, whose block tables have room for more, as an engine's have.</summary>
    private static void MeasureFew(CudaGpuDevice gpu, AttentionShape shape, int numSeqs, int length)
    {
        int numLayers = (int)Math.Clamp(RotatedFewBytes / (4L * numSeqs * length * shape.KvWidth), 2, MostFewLayers);
        using var inputs = new Inputs(gpu, shape, numSeqs, queryLength: 1, length, numLayers, capacity: FewCapacity);
        using var table = GpuBuffer.Allocate(gpu, ElementType.F32, (long)length * shape.HeadDim);
        new FillRandomKernel(gpu).Launch(table, 1, 1f);
        var rotary = new RotaryTable(table, length, shape.HeadDim);
        using var kernel = new DecodeAttentionKernel(gpu);
        bool hasClusters = kernel.UsesClusters;
        kernel.Reserve(numSeqs, shape, ElementType.F16);
        double Run(bool usesClusters, int? smallestSplit)
        {
            (kernel.UsesClusters, kernel.SmallestSplit) = (usesClusters && hasClusters, smallestSplit);
            return Time(gpu, numLayers * Math.Max(1, MaxLayers / numLayers), i => kernel.Launch(shape, inputs.Qkv, rotary, inputs.Layers[i % numLayers], inputs.Batch, inputs.Output));
        }
        Console.WriteLine(FormattableString.Invariant(
            $"decode {numSeqs} of {length,5}: global {Run(false, null),6:F2} us, splits of 64 {Run(false, 64),6:F2}; clusters {Run(true, null),6:F2}, splits of 64 {Run(true, 64),6:F2}"));
    }

    /// <summary>The microseconds of one launch, in a graph of several: the least of some repetitions.</summary>
    private static double Time(CudaGpuDevice gpu, int launches, Action<int> launch)
    {
        launch(0); // compiles it
        gpu.Stream.Synchronize();
        using var graph = new CudaGraph((CudaStream)gpu.Stream, gpu.HasDependentLaunch, () =>
        {
            for (int i = 0; i < launches; i++)
                launch(i);
        });
        graph.Launch();
        gpu.Stream.Synchronize();
        double best = double.MaxValue;
        for (int i = 0; i < NumRepetitions; i++)
        {
            long start = Stopwatch.GetTimestamp();
            graph.Launch();
            gpu.Stream.Synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMicroseconds / launches);
        }
        return best;
    }

    /// <summary>A batch of sequences of one length, of each of which the last tokens are computed, and random caches with scattered blocks.</summary>
    private sealed class Inputs : IDisposable
    {
        private readonly List<GpuBuffer> _buffers = [];
        private readonly CudaGpuDevice _gpu;

        public Inputs(
            CudaGpuDevice gpu, AttentionShape shape, int numSeqs, int queryLength, int length, int numLayers, ElementType type = ElementType.F16,
            ElementType cache = ElementType.F16, int capacity = 0)
        {
            _gpu = gpu;
            int blocksPerSeq = (length + BlockSize - 1) / BlockSize, numBlocks = numSeqs * blocksPerSeq, numTokens = numSeqs * queryLength;
            int tableBlocks = Math.Max(blocksPerSeq, capacity / BlockSize);
            var random = new FillRandomKernel(gpu);
            Qkv = Allocate(type, (long)numTokens * shape.QkvWidth);
            Output = Allocate(type, (long)numTokens * shape.QueryWidth);
            random.Launch(Qkv, 1, 1f);
            Layers = new KvCacheLayer[numLayers];
            for (int i = 0; i < numLayers; i++)
            {
                GpuBuffer keys = Allocate(cache, (long)numBlocks * BlockSize * shape.KvWidth), values = Allocate(cache, keys.Length);
                random.Launch(keys, (ulong)i, 1f);
                random.Launch(values, (ulong)i + 1000, 1f);
                Layers[i] = new KvCacheLayer(keys, values, numBlocks, BlockSize);
            }
            int[] blocks = [.. Enumerable.Range(0, numBlocks)];
            new Random(1).Shuffle(blocks);
            int[] positions = [.. Enumerable.Range(0, numTokens).Select(t => length - queryLength + t % queryLength)];
            int[] sequences = [.. Enumerable.Range(0, numTokens).Select(t => t / queryLength)];
            Batch = new BatchMetadata
            {
                TokenIds = Upload(new int[numTokens]),
                Positions = Upload(positions),
                RotaryRows = Upload(positions),
                SlotMapping = Upload([.. positions.Select((p, t) => blocks[sequences[t] * blocksPerSeq + p / BlockSize] * BlockSize + p % BlockSize)]),
                TokenSequences = Upload(sequences),
                QueryStartLoc = Upload([.. Enumerable.Range(0, numSeqs + 1).Select(s => s * queryLength)]),
                SeqLens = Upload([.. Enumerable.Repeat(length, numSeqs)]),
                BlockTables = Upload([.. Enumerable.Range(0, numSeqs * tableBlocks).Select(i => blocks[i / tableBlocks * blocksPerSeq + Math.Min(i % tableBlocks, blocksPerSeq - 1)])]),
                LogitsIndices = Upload(new int[numSeqs]),
                MaxBlocksPerSeq = tableBlocks,
                NumTokens = numTokens,
                NumSeqs = numSeqs,
                MaxQueryLen = queryLength,
                MaxSeqLen = length,
            };
        }

        public GpuBuffer Qkv { get; }

        public GpuBuffer Output { get; }

        public KvCacheLayer[] Layers { get; }

        public BatchMetadata Batch { get; }

        public void Dispose() => _buffers.ForEach(b => b.Dispose());

        private GpuBuffer Allocate(ElementType type, long length)
        {
            var buffer = GpuBuffer.Allocate(_gpu, type, length);
            _buffers.Add(buffer);
            return buffer;
        }

        private GpuBuffer Upload(int[] values)
        {
            var buffer = Allocate(ElementType.I32, values.Length);
            _gpu.CopyToDevice(MemoryMarshal.AsBytes<int>(values), buffer.Address);
            return buffer;
        }
    }
}
