using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>A cache of codes as halves, and the attention that reads it so.</summary>
[TestClass]
public sealed class WidenCacheTests
{
    [TestMethod]
    [DataRow(2, 1, 64, 0, 16)]
    [DataRow(4, 4, 80, 0, 4)]
    [DataRow(2, 2, 128, 9, 8)]
    [DataRow(1, 1, 8, 3, 1)]
    public void Launch_RaggedBatch_HalvesOfWhatIsSeen(int numHeads, int numKvHeads, int headDim, int window, int blockSize)
    {
        using var lease = TestDevice.Rent();
        AttentionShape shape = AttentionBatch.Shape(numHeads, numKvHeads, headDim, window);
        AttentionChunk[] chunks = [.. new[] { (0, 1), (0, 20), (17, 5), (-1, 1), (30, 1) }.Select((c, i) => Chunk(i, c.Item1, c.Item2))];
        using var batch = new AttentionBatch(lease.Backend, ElementType.F16, shape, blockSize, chunks, newKeysInCache: true, ElementType.U8);
        (float[] Keys, float[] Values) widened = default;
        batch.Run((s, qkv, cache, metadata, output) =>
        {
            KvCacheLayer halves = new WidenCacheKernel(lease.Device).Launch(s, cache, metadata);
            widened = (lease.Backend.Download(halves.Keys), lease.Backend.Download(halves.Values));
        });
        var (keys, values) = batch.Cached();
        for (int s = 0; s < chunks.Length; s++)
        {
            for (int p = chunks[s].Prefix < 0 ? 0 : shape.FirstVisible(chunks[s].Prefix); p < chunks[s].End; p++)
            {
                for (int h = 0; h < numKvHeads; h++)
                {
                    int row = batch.CacheRow(s, p, h);
                    string what = $"sequence {s}, position {p}, head {h}";
                    TestTensors.AssertSameBits(TestTensors.RoundTo(ElementType.F16, keys[row..(row + headDim)]), widened.Keys.AsSpan(row, headDim), what);
                    TestTensors.AssertSameBits(TestTensors.RoundTo(ElementType.F16, values[row..(row + headDim)]), widened.Values.AsSpan(row, headDim), what);
                }
            }
        }

        AttentionChunk Chunk(int seed, int prefix, int count) =>
            new(AttentionBatch.Rows(ElementType.F16, shape, seed, Math.Max(1, prefix + count)), prefix, count);
    }

    [TestMethod]
    public void Launch_NowhereToWidenTo_Throws()
    {
        using var lease = TestDevice.Rent();
        AttentionShape shape = AttentionBatch.Shape(1, 1, 64, 0);
        using var cache = new TestCache(lease.Backend, ElementType.U8, shape, 2, 4);
        BatchMetadata batch = AttentionRun.CreateBatch(lease.Backend, 1, 1, 1);
        Assert.ThrowsExactly<ArgumentException>(() => new WidenCacheKernel(lease.Device).Launch(shape, cache.Layer, batch));
        AttentionRun.DisposeBatch(batch);
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(2, 1, 64)]
    [DataRow(1, 1, 96)]
    public void Attend_EmulatedCodes_MatchReference(int numHeads, int numKvHeads, int headDim)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Scenarios(backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, 0), 4).CheckFew();
    }

    [TestMethod]
    [DataRow(4, 2, 64, 0)]
    [DataRow(2, 1, 128, 0)]
    [DataRow(2, 2, 80, 100)]
    [DataRow(8, 1, 96, 0)]
    public void Attend_CodesOnCuda_MatchReferenceAndChunksGiveSameBits(int numHeads, int numKvHeads, int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda();
        FlashScenarios scenarios = Scenarios(cuda.Backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), 16);
        scenarios.CheckRagged();
        scenarios.CheckChunks();
        scenarios.CheckManySequences();
    }

    [TestMethod]
    [DataRow(4, 2, 64, 0)]
    [DataRow(2, 1, 128, 100)]
    public void Attend_CodesOnHopper_MatchReferenceAndChunksGiveSameBits(int numHeads, int numKvHeads, int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using var flash = new HopperFlashAttentionKernel((CudaGpuDevice)cuda.Device);
        var widen = new WidenCacheKernel(cuda.Device);
        var scenarios = new FlashScenarios(
            cuda.Backend, (s, qkv, cache, batch, output) => flash.Launch(s, qkv, widen.Launch(s, cache, batch), batch, output),
            AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), 16, ElementType.U8);
        scenarios.CheckRagged();
        scenarios.CheckChunks();
    }

    private static FlashScenarios Scenarios(GpuBackend backend, AttentionShape shape, int blockSize)
    {
        GpuDevice device = TestDevice.DeviceOf(backend);
        var (flash, widen) = (new FlashAttentionKernel(device), new WidenCacheKernel(device));
        return new(backend, (s, qkv, cache, batch, output) => flash.Launch(s, qkv, widen.Launch(s, cache, batch), batch, output), shape, blockSize, ElementType.U8);
    }
}
