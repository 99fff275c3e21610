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
    }

    [TestMethod]
    public void Launch_ManyTokens_SameBits()
    {
        using var cuda = TestDevice.RentCuda(); // too slow without
        CheckSameBits(cuda.Backend, new AttentionShape(32, 32, 128, 0, 1), 1500);
        CheckSameBits(cuda.Backend, new AttentionShape(10, 2, 80, 0, 1), 1100);
    }

    private static void CheckSameBits(GpuBackend backend, AttentionShape shape, int numTokens)
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
        string[] names = ["queries", "keys", "values"];
        for (int i = 0; i < names.Length; i++)
            TestTensors.AssertSameBits(expected[i], actual[i], $"{names[i]} (headDim {shape.HeadDim})");
        AttentionRun.DisposeBatch(batch);

        float[][] Run(bool usesChunks)
        {
            int cacheLength = numBlocks * BlockSize * shape.KvWidth;
            using DeviceBuffer qkv = backend.Upload(ElementType.F16, rows);
            using DeviceBuffer keys = backend.Upload(ElementType.F16, new float[cacheLength]), cachedValues = backend.Upload(ElementType.F16, new float[cacheLength]);
            var kernel = new RotaryKernel(((GpuBuffer)qkv).Device) { UsesChunks = usesChunks };
            kernel.Launch(shape, (GpuBuffer)qkv, new RotaryTable(angles, 16, shape.HeadDim), new KvCacheLayer(keys, cachedValues, numBlocks, BlockSize), batch);
            return [backend.Download(qkv), backend.Download(keys), backend.Download(cachedValues)];
        }
    }
}
