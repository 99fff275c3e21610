using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// FlashAttention against the double-precision reference, which sees the same halves. On CUDA; where there is none, one small case on ILGPU's CPU
/// accelerator, which runs the kernel's own code with its instructions emulated.
/// </summary>
[TestClass]
[DoNotParallelize] // the emulation of instructions has one memory
public sealed class FlashAttentionTests
{
    private static readonly int[] Lengths = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 300];

    [TestMethod]
    [DataRow(1, 1, 64, 0, 16)]
    [DataRow(4, 2, 64, 0, 1)]
    [DataRow(2, 2, 80, 0, 32)]
    [DataRow(4, 1, 96, 0, 16)]
    [DataRow(2, 2, 128, 0, 16)]
    [DataRow(8, 1, 128, 0, 16)]
    [DataRow(2, 1, 128, 1, 16)]
    [DataRow(2, 1, 128, 40, 16)]
    [DataRow(2, 2, 64, 100, 32)]
    public void Launch_RaggedBatches_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize)
    {
        using GpuBackend backend = Cuda();
        CheckRagged(backend, new FlashAttentionKernel(Device(backend)).Launch, Shape(numHeads, numKvHeads, headDim, window), blockSize);
    }

    [TestMethod]
    [DataRow(64, 0)]
    [DataRow(128, 0)]
    [DataRow(128, 70)]
    public void Launch_ChunksAndNeighbours_SameBits(int headDim, int window)
    {
        using GpuBackend backend = Cuda();
        CheckChunks(backend, new FlashAttentionKernel(Device(backend)).Launch, Shape(4, 2, headDim, window), 16);
    }

    [TestMethod]
    public void Launch_ManySequences_MatchReference()
    {
        using GpuBackend backend = Cuda();
        CheckManySequences(backend, new FlashAttentionKernel(Device(backend)).Launch, Shape(2, 2, 64, 0));
    }

    [TestMethod]
    [DataRow(64, 0)]
    [DataRow(80, 21)]
    public void Launch_Emulated_MatchesReference(int headDim, int window)
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 128);
        AttentionShape shape = Shape(1, 1, headDim, window);
        Check(backend, new FlashAttentionKernel(Device(backend)).Launch, shape, 4, [new(Rows(shape, 1, 1), -1, 1), new(Rows(shape, 2, 110), 63, 37)]);
    }

    internal static GpuBackend Cuda()
    {
        GpuBackend backend = TestDevice.Create();
        if (backend.IsHostMemory)
        {
            backend.Dispose();
            Assert.Inconclusive("skipped: tensor cores need a CUDA device");
        }
        return backend;
    }

    internal static GpuDevice Device(GpuBackend backend)
    {
        using DeviceBuffer buffer = backend.Allocate(ElementType.F32, 1);
        return ((GpuBuffer)buffer).Device;
    }

    /// <summary>Whole prompts, chunks with a prefix, decoding tokens, filling: against the reference.</summary>
    internal static void CheckRagged(GpuBackend backend, FlashLaunch launch, AttentionShape shape, int blockSize)
    {
        HalfAttentionChunk[] chunks =
        [
            .. Lengths.Select((n, i) => new HalfAttentionChunk(Rows(shape, i, n), 0, n)),
            .. Lengths.Select((n, i) => new HalfAttentionChunk(Rows(shape, 50 + i, n + 40), n, 1 + 3 * i)),
            new(Rows(shape, 90, 1), -1, 1),
            new(Rows(shape, 91, 700), 699, 1),
            new(Rows(shape, 92, 700), 500, 200),
        ];
        Check(backend, launch, shape, blockSize, chunks);
    }

    /// <summary>A sequence in chunks, beside another one: the same bits as at once and alone.</summary>
    internal static void CheckChunks(GpuBackend backend, FlashLaunch launch, AttentionShape shape, int blockSize)
    {
        const int Length = 333;
        float[] rows = Rows(shape, 1, Length);
        float[] whole = Run(backend, launch, shape, blockSize, [new(rows, 0, Length)]);
        foreach (int chunk in new[] { 1, 16, 50, 64, 100, 128, 200 })
        {
            for (int from = 0; from < Length; from += chunk)
            {
                int count = Math.Min(chunk, Length - from);
                var other = new HalfAttentionChunk(Rows(shape, 2, 170), 30, 140);
                float[] part = Run(backend, launch, shape, blockSize, [other, new(rows, from, count)]);
                TestTensors.AssertSameBits(
                    whole[(from * shape.QueryWidth)..((from + count) * shape.QueryWidth)], part[(140 * shape.QueryWidth)..], $"tokens {from}..{from + count - 1}");
            }
        }
    }

    /// <summary>More sequences than a group has lanes: against the reference.</summary>
    internal static void CheckManySequences(GpuBackend backend, FlashLaunch launch, AttentionShape shape)
    {
        Check(backend, launch, shape, 16, [.. Enumerable.Range(0, 130).Select(i => new HalfAttentionChunk(Rows(shape, i, 2 + i), i % 3 == 0 ? 0 : i, i % 3 == 0 ? 2 + i : 1))]);
    }

    internal static AttentionShape Shape(int numHeads, int numKvHeads, int headDim, int window) =>
        new(numHeads, numKvHeads, headDim, window, 1 / MathF.Sqrt(headDim));

    /// <summary>Random halves.</summary>
    internal static float[] Rows(AttentionShape shape, int seed, int length) =>
        TestTensors.RoundTo(ElementType.F16, TestTensors.Random(seed, length * shape.QkvWidth, 2));

    internal static float[] Run(GpuBackend backend, FlashLaunch launch, AttentionShape shape, int blockSize, HalfAttentionChunk[] chunks)
    {
        using var batch = new HalfAttentionBatch(backend, shape, blockSize, chunks, newKeysInCache: true);
        return batch.Flash(launch);
    }

    private static void Check(GpuBackend backend, FlashLaunch launch, AttentionShape shape, int blockSize, HalfAttentionChunk[] chunks)
    {
        float[] actual = Run(backend, launch, shape, blockSize, chunks);
        double[] expected = HalfAttentionBatch.Reference(shape, chunks);
        int row = 0;
        foreach (var chunk in chunks)
        {
            int at = row * shape.QueryWidth, count = chunk.Count * shape.QueryWidth;
            // Weights and results are rounded to 11 bits.
            TestTensors.AssertClose(
                expected.AsSpan(at, count), actual.AsSpan(at, count), 2e-3, 2e-3, $"{chunk.Count} tokens from {chunk.Prefix} on, {shape.QueryWidth} elements each");
            row += chunk.Count;
        }
    }
}
