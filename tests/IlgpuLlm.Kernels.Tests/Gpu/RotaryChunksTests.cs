using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>The rotary kernel that reads halves in chunks against the one that reads them singly: the same bits.</summary>
[TestClass]
[DoNotParallelize]
public sealed class RotaryChunksTests
{
    private const int BlockSize = 4;

    [TestMethod]
    [DataRow(16, 3, 1, 7)]
    [DataRow(64, 4, 2, 5)]
    [DataRow(80, 2, 2, 9)]
    [DataRow(96, 4, 1, 3)]
    [DataRow(128, 8, 8, 4)]
    [DataRow(256, 2, 1, 2)]
    public void Launch_Chunks_SameBits(int headDim, int numHeads, int numKvHeads, int numTokens)
    {
        using var lease = TestDevice.Rent();
        CheckSameBits(lease.Backend, new AttentionShape(numHeads, numKvHeads, headDim, 0, 1), numTokens);
        CheckSameBits(lease.Backend, new AttentionShape(numHeads, numKvHeads, headDim, 0, 1), numTokens, ElementType.U8);
    }

    [TestMethod]
    [DataRow(80, 2, 1, 3)]
    [DataRow(128, 2, 2, 2)]
    public void Launch_ChunksOfCodesByManyLanes_SameBits(int headDim, int numHeads, int numKvHeads, int numTokens)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 64);
        CheckSameBits(backend, new AttentionShape(numHeads, numKvHeads, headDim, 0, 1), numTokens, ElementType.U8);
    }

    [TestMethod]
    public void Launch_ManyTokens_SameBits()
    {
        using var cuda = TestDevice.RentCuda(); // too slow without
        CheckSameBits(cuda.Backend, new AttentionShape(32, 32, 128, 0, 1), 1500);
        CheckSameBits(cuda.Backend, new AttentionShape(10, 2, 80, 0, 1), 1100);
        CheckSameBits(cuda.Backend, new AttentionShape(32, 32, 128, 0, 1), 1500, ElementType.U8);
        CheckSameBits(cuda.Backend, new AttentionShape(10, 2, 80, 0, 1), 1100, ElementType.U8);
    }

    private static void CheckSameBits(GpuBackend backend, AttentionShape shape, int numTokens, ElementType cacheType = ElementType.F16)
    {
        float[] table = TestTensors.Random(1, 16 * shape.HeadDim);
        float[] rows = TestTensors.Random(2, numTokens * shape.QkvWidth, 4);
        int numBlocks = numTokens / BlockSize + 2;
        int[] slots = [.. Enumerable.Range(0, numBlocks * BlockSize)];
        new Random(3).Shuffle(slots);
        slots[numTokens / 2] = -1;

        BatchMetadata batch = AttentionRun.CreateBatch(backend, numTokens, 1, 1);
        batch.NumTokens = numTokens;
        batch.NumSeqs = 1;
        backend.Upload([.. Enumerable.Range(0, numTokens).Select(t => t * 7 % 16)], batch.RotaryRows);
        backend.Upload(slots[..numTokens], batch.SlotMapping);
        using DeviceBuffer angles = backend.Upload(table);
        float[][] expected = Run(usesChunks: false), actual = Run(usesChunks: true);
        string[] names = ["queries", "keys", "values", "scales of keys", "scales of values"];
        for (int i = 0; i < expected.Length; i++)
            TestTensors.AssertSameBits(expected[i], actual[i], $"{names[i]} (headDim {shape.HeadDim})");
        AttentionRun.DisposeBatch(batch);

        float[][] Run(bool usesChunks)
        {
            using DeviceBuffer qkv = backend.Upload(ElementType.F16, rows);
            using var cache = new TestCache(backend, cacheType, shape, numBlocks, BlockSize);
            KvCacheLayer layer = cache.Layer;
            Zero(layer.Keys);
            Zero(layer.Values);
            var kernel = new RotaryKernel(((GpuBuffer)qkv).Device) { UsesChunks = usesChunks };
            kernel.Launch(shape, (GpuBuffer)qkv, new RotaryTable(angles, 16, shape.HeadDim), layer, batch);
            return layer.Scales is { } scales
                ? [backend.Download(qkv), Codes(layer.Keys), Codes(layer.Values), backend.Download(scales.Keys), backend.Download(scales.Values)]
                : [backend.Download(qkv), backend.Download(layer.Keys), backend.Download(layer.Values)];
        }

        float[] Codes(DeviceBuffer buffer) => [.. backend.DownloadBytes(buffer).Select(code => (float)code)];

        void Zero(DeviceBuffer buffer)
        {
            if (buffer.Type == ElementType.U8)
                backend.Upload(new byte[buffer.Length], buffer);
            else
                backend.UploadAs(new float[buffer.Length], buffer);
        }
    }
}
