using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// The decode kernels against the double-precision reference, which sees the same halves. On CUDA; where there is none, small cases on ILGPU's CPU
/// accelerator, which runs the kernel's own code with its instructions emulated.
/// </summary>
[TestClass]
[DoNotParallelize] // the emulation of instructions has one memory
public sealed class DecodeAttentionTests
{
    private static readonly int[] Lengths = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 300, 1100];

    [TestMethod]
    [DataRow(2, 2, 64, 0, 16)]
    [DataRow(4, 2, 64, 0, 1)]
    [DataRow(2, 2, 80, 0, 32)]
    [DataRow(4, 1, 96, 0, 16)]
    [DataRow(2, 2, 128, 0, 16)]
    [DataRow(8, 1, 128, 0, 16)]
    [DataRow(14, 1, 128, 0, 16)]
    [DataRow(32, 2, 64, 0, 16)]
    [DataRow(2, 1, 128, 1, 16)]
    [DataRow(2, 1, 128, 40, 16)]
    [DataRow(2, 2, 64, 300, 32)]
    public void Launch_Lengths_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize)
    {
        using GpuBackend backend = FlashAttentionTests.Cuda();
        Check(backend, FlashAttentionTests.Shape(numHeads, numKvHeads, headDim, window), blockSize, [.. Lengths, 0]);
    }

    [TestMethod]
    public void Launch_ManySequences_MatchReference()
    {
        using GpuBackend backend = FlashAttentionTests.Cuda();
        Check(backend, FlashAttentionTests.Shape(4, 2, 128, 0), 16, [.. Enumerable.Range(0, 130).Select(i => 1 + i * 3)]);
    }

    [TestMethod]
    [DataRow(128, 0)]
    [DataRow(64, 200)]
    public void Launch_BatchesAndRepetitions_SameBits(int headDim, int window)
    {
        using GpuBackend backend = FlashAttentionTests.Cuda();
        AttentionShape shape = FlashAttentionTests.Shape(4, 2, headDim, window);
        int[] lengths = [700, 5, 0, 129, 300, 1024], many = [.. lengths, .. Enumerable.Range(0, 600).Select(i => 1 + i % 7)];
        foreach (bool fewHeads in new[] { false, true })
        {
            float[] all = Run(backend, shape, 16, lengths, fewHeads).Actual;
            TestTensors.AssertSameBits(all, Run(backend, shape, 16, lengths, fewHeads).Actual, "again");
            TestTensors.AssertSameBits(all, Run(backend, shape, 1, lengths, fewHeads).Actual, "blocks of 1");
            TestTensors.AssertSameBits(all, Run(backend, shape, 16, many, fewHeads).Actual.AsSpan(0, all.Length), "in a large batch");
            for (int s = 0; s < lengths.Length; s++)
                TestTensors.AssertSameBits(all[(s * shape.QueryWidth)..((s + 1) * shape.QueryWidth)], Run(backend, shape, 16, lengths[s..(s + 1)], fewHeads, s).Actual, $"sequence {s} alone");
        }
    }

    [TestMethod]
    [DataRow(1, 1, 64, 0, 150)]
    [DataRow(3, 1, 80, 21, 45)]
    [DataRow(5, 5, 128, 0, 70)]
    [DataRow(10, 1, 96, 0, 18)]
    public void Launch_Emulated_MatchesReference(int numHeads, int numKvHeads, int headDim, int window, int length)
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 128);
        Check(backend, FlashAttentionTests.Shape(numHeads, numKvHeads, headDim, window), 4, [length, 0]);
    }

    private static void Check(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths)
    {
        Check(backend, shape, blockSize, lengths, fewHeads: false);
        if (WarpAttentionKernel.Supports(shape))
            Check(backend, shape, blockSize, lengths, fewHeads: true);
    }

    private static void Check(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths, bool fewHeads)
    {
        (float[] actual, double[] expected) = Run(backend, shape, blockSize, lengths, fewHeads);
        for (int s = 0; s < lengths.Length; s++)
        {
            // Weights and results are rounded to 11 bits.
            TestTensors.AssertClose(
                expected.AsSpan(s * shape.QueryWidth, shape.QueryWidth), actual.AsSpan(s * shape.QueryWidth, shape.QueryWidth), 2e-3, 2e-3,
                $"{(fewHeads ? "few" : "many")} heads: sequence {s} of {lengths[s]} tokens");
        }
    }

    /// <summary>Decodes the last token of sequences of these lengths; 0 is a row that only fills up a graph's batch.</summary>
    private static (float[] Actual, double[] Expected) Run(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths, bool fewHeads, int firstSeed = 0)
    {
        int longest = Math.Max(lengths.Max(), 1);
        float[] angles = [.. TestTensors.Random(3, longest * shape.HeadDim / 2, 3)];
        var table = new float[longest * shape.HeadDim];
        for (int i = 0; i < angles.Length; i++)
        {
            int half = shape.HeadDim / 2, at = i / half * shape.HeadDim + i % half;
            (table[at + half], table[at]) = MathF.SinCos(angles[i]);
        }
        HalfAttentionChunk[] chunks = [.. lengths.Select((n, s) => new HalfAttentionChunk(FlashAttentionTests.Rows(shape, firstSeed + s, Math.Max(n, 1)), n - 1, 1))];
        HalfAttentionChunk[] rotated = [.. chunks.Select(c => c with { Rows = RotateLast(shape, c, table) })];

        GpuDevice device = FlashAttentionTests.Device(backend);
        using IDecodeAttention kernel = fewHeads ? new WarpAttentionKernel(device) : new DecodeAttentionKernel(device);
        kernel.Reserve(lengths.Length, shape);
        using DeviceBuffer values = backend.Upload(table);
        using var batch = new HalfAttentionBatch(backend, shape, blockSize, chunks, newKeysInCache: false);
        var rotary = new RotaryTable(values, longest, shape.HeadDim);
        float[] first = batch.Decode(kernel, rotary);
        TestTensors.AssertSameBits(first, batch.Decode(kernel, rotary), "launched twice"); // the counters are 0 again
        for (int s = 0; s < lengths.Length; s++)
        {
            for (int h = 0; h < shape.NumKvHeads && lengths[s] > 0; h++)
            {
                (float[] key, float[] value) = batch.Cached(s, lengths[s] - 1, h);
                int from = (lengths[s] - 1) * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim;
                double[] expectedKey = [.. rotated[s].Rows.AsSpan(from, shape.HeadDim).ToArray().Select(k => (double)k)];
                TestTensors.AssertClose(expectedKey, key, 1e-6, 1e-3, $"the key of sequence {s}, head {h}");
                TestTensors.AssertSameBits(chunks[s].Rows.AsSpan(from + shape.KvWidth, shape.HeadDim), value, $"the value of sequence {s}, head {h}");
            }
        }
        return (first, HalfAttentionBatch.Reference(shape, rotated));
    }

    /// <summary>The rows with the last token's queries and key rotated and rounded.</summary>
    private static float[] RotateLast(AttentionShape shape, HalfAttentionChunk chunk, float[] table)
    {
        float[] rows = [.. chunk.Rows];
        if (chunk.Prefix < 0)
            return rows;
        for (int head = 0; head < shape.NumHeads + shape.NumKvHeads; head++)
        {
            int at = chunk.Prefix * shape.QkvWidth + head * shape.HeadDim;
            double[] rotated = ReferenceKernels.Rotate(chunk.Rows.AsSpan(at, shape.HeadDim), table.AsSpan(chunk.Prefix * shape.HeadDim, shape.HeadDim));
            for (int i = 0; i < rotated.Length; i++)
                rows[at + i] = (float)(Half)rotated[i];
        }
        return rows;
    }
}
