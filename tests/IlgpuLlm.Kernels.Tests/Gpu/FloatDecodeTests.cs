using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Decode attention of floats against the double-precision reference. On CUDA; where there is none, small cases on ILGPU's CPU accelerator, which runs the
/// kernel's own code with its instructions emulated.
/// </summary>
[TestClass]
[DoNotParallelize] // the emulation of instructions has one memory
public sealed class FloatDecodeTests
{
    private static readonly int[] Lengths = [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 300, 1100, 0];

    [TestMethod]
    [DataRow(2, 2, 64, 0, 16)]
    [DataRow(4, 2, 64, 0, 1)]
    [DataRow(2, 2, 80, 0, 32)]
    [DataRow(3, 1, 8, 0, 16)]
    [DataRow(4, 1, 96, 0, 16)]
    [DataRow(2, 2, 128, 0, 16)]
    [DataRow(8, 1, 128, 0, 16)]
    [DataRow(2, 1, 128, 1, 16)]
    [DataRow(7, 1, 128, 40, 16)]
    [DataRow(2, 2, 64, 300, 32)]
    public void Launch_Lengths_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize)
    {
        using GpuBackend backend = Cuda();
        Check(backend, Shape(numHeads, numKvHeads, headDim, window), blockSize, Lengths);
    }

    [TestMethod]
    [DataRow(128, 0)]
    [DataRow(64, 200)]
    public void Launch_Batches_SameBits(int headDim, int window)
    {
        using GpuBackend backend = Cuda();
        AttentionShape shape = Shape(4, 2, headDim, window);
        int[] lengths = [700, 5, 0, 129, 300, 1024];
        float[] all = Check(backend, shape, 16, lengths);
        TestTensors.AssertSameBits(all, Check(backend, shape, 1, lengths), "blocks of 1");
        for (int s = 0; s < lengths.Length; s++)
            TestTensors.AssertSameBits(all.AsSpan(s * shape.QueryWidth, shape.QueryWidth), Check(backend, shape, 16, lengths[s..(s + 1)], s), $"sequence {s} alone");
    }

    [TestMethod]
    [DataRow(1, 1, 64, 0, 150)]
    [DataRow(3, 1, 72, 21, 45)]
    [DataRow(8, 1, 128, 0, 18)]
    public void Launch_Emulated_MatchesReference(int numHeads, int numKvHeads, int headDim, int window, int length)
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 128);
        Check(backend, Shape(numHeads, numKvHeads, headDim, window), 4, [length, 0]);
    }

    private static AttentionShape Shape(int numHeads, int numKvHeads, int headDim, int window) => new(numHeads, numKvHeads, headDim, window, 1 / MathF.Sqrt(headDim));

    private static GpuBackend Cuda()
    {
        GpuBackend backend = TestDevice.Create();
        if (!backend.IsHostMemory)
            return backend;
        backend.Dispose();
        Assert.Inconclusive("skipped: needs a CUDA device");
        return backend;
    }

    /// <summary>
    /// Decodes the last token of sequences of these lengths, twice; 0 is a row that only fills up a graph's batch. All that the kernel has no business to read
    /// is NaN.
    /// </summary>
    private static float[] Check(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths, int firstSeed = 0)
    {
        int numSeqs = lengths.Length, longest = Math.Max(lengths.Max(), 1), maxBlocks = (longest + blockSize - 1) / blockSize + 1, numBlocks = numSeqs * maxBlocks;
        int[] blocks = [.. Enumerable.Range(0, numBlocks)];
        new Random(11).Shuffle(blocks);
        float[] table = RotaryTable(longest, shape.HeadDim);
        float[] keys = [.. Enumerable.Repeat(float.NaN, numBlocks * blockSize * shape.KvWidth)], values = [.. keys];
        float[] qkv = [.. Enumerable.Repeat(float.NaN, numSeqs * shape.QkvWidth)];
        var expected = new double[numSeqs][];
        int CacheRow(int sequence, int position, int head) =>
            ((blocks[sequence * maxBlocks + position / blockSize] * shape.NumKvHeads + head) * blockSize + position % blockSize) * shape.HeadDim;
        for (int s = 0; s < numSeqs; s++)
        {
            int length = lengths[s];
            expected[s] = new double[shape.QueryWidth];
            if (length == 0)
                continue;
            float[] rows = TestTensors.Random(100 + firstSeed + s, length * shape.QkvWidth, 2);
            for (int p = 0; p < length - 1; p++)
            {
                for (int h = 0; h < shape.NumKvHeads; h++)
                {
                    int from = p * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim;
                    double[] key = ReferenceKernels.Rotate(rows.AsSpan(from, shape.HeadDim), table.AsSpan(p * shape.HeadDim, shape.HeadDim));
                    Array.ConvertAll(key, k => (float)k).CopyTo(keys, CacheRow(s, p, h));
                    rows.AsSpan(from + shape.KvWidth, shape.HeadDim).CopyTo(values.AsSpan(CacheRow(s, p, h)));
                }
            }
            rows.AsSpan((length - 1) * shape.QkvWidth).CopyTo(qkv.AsSpan(s * shape.QkvWidth));
            expected[s] = ReferenceKernels.Attention(shape, rows, table, [.. Enumerable.Range(0, length)])[^shape.QueryWidth..];
        }

        using DeviceBuffer keyBuffer = backend.Upload(keys), valueBuffer = backend.Upload(values), qkvBuffer = backend.Upload(qkv), tableBuffer = backend.Upload(table);
        using DeviceBuffer output = backend.Allocate(ElementType.F32, numSeqs * shape.QueryWidth);
        BatchMetadata batch = AttentionRun.CreateBatch(backend, numSeqs, numSeqs, maxBlocks);
        batch.NumTokens = batch.NumSeqs = numSeqs;
        backend.Upload(lengths.Select(n => n - 1).ToArray(), batch.Positions);
        backend.Upload(lengths.Select(n => Math.Max(n - 1, 0)).ToArray(), batch.RotaryRows);
        backend.Upload(
            lengths.Select((n, s) => n == 0 ? -1 : blocks[s * maxBlocks + (n - 1) / blockSize] * blockSize + (n - 1) % blockSize).ToArray(), batch.SlotMapping);
        backend.Upload(
            lengths.SelectMany((n, s) => Enumerable.Range(0, maxBlocks).Select(b => b * blockSize < n ? blocks[s * maxBlocks + b] : int.MinValue)).ToArray(),
            batch.BlockTables);
        var cache = new KvCacheLayer(keyBuffer, valueBuffer, numBlocks, blockSize);
        using var kernel = new FloatDecodeKernel(((GpuBuffer)qkvBuffer).Device);
        kernel.Reserve(numSeqs, shape);
        float[] first = Launch();
        for (int s = 0; s < numSeqs; s++)
        {
            string what = $"sequence {s} of {lengths[s]} tokens";
            TestTensors.AssertClose(expected[s], first.AsSpan(s * shape.QueryWidth, shape.QueryWidth), 2e-5, 1e-5, what);
            for (int h = 0; h < shape.NumKvHeads && lengths[s] > 0; h++)
            {
                int position = lengths[s] - 1, from = s * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim;
                double[] key = ReferenceKernels.Rotate(qkv.AsSpan(from, shape.HeadDim), table.AsSpan(position * shape.HeadDim, shape.HeadDim));
                TestTensors.AssertClose(key, backend.Download(keyBuffer).AsSpan(CacheRow(s, position, h), shape.HeadDim), 1e-6, 1e-6, what + $": key of head {h}");
                TestTensors.AssertSameBits(
                    qkv.AsSpan(from + shape.KvWidth, shape.HeadDim), backend.Download(valueBuffer).AsSpan(CacheRow(s, position, h), shape.HeadDim), what + $": value of head {h}");
            }
        }
        TestTensors.AssertSameBits(first, Launch(), "launched twice"); // the counters are 0 again
        return first;

        float[] Launch()
        {
            backend.Upload(Enumerable.Repeat(float.NaN, numSeqs * shape.QueryWidth).ToArray(), output);
            kernel.Launch(shape, (GpuBuffer)qkvBuffer, new RotaryTable(tableBuffer, longest, shape.HeadDim), cache, batch, (GpuBuffer)output);
            return backend.Download(output);
        }
    }

    private static float[] RotaryTable(int numRows, int headDim)
    {
        float[] angles = TestTensors.Random(3, numRows * headDim / 2, 3);
        var table = new float[numRows * headDim];
        for (int i = 0; i < angles.Length; i++)
        {
            int half = headDim / 2, at = i / half * headDim + i % half;
            (table[at + half], table[at]) = MathF.SinCos(angles[i]);
        }
        return table;
    }
}
