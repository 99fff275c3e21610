using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>FlashAttention on wgmma in <see cref="FlashScenarios"/>; a Hopper is needed.</summary>
[TestClass]
public sealed class HopperFlashAttentionTests
{
    [TestMethod]
    [DataRow(1, 1, 64, 0, 16)]
    [DataRow(4, 2, 64, 0, 8)]
    [DataRow(2, 2, 64, 100, 32)]
    [DataRow(1, 1, 128, 0, 16)]
    [DataRow(8, 1, 128, 0, 16)]
    [DataRow(2, 2, 128, 0, 8)]
    [DataRow(2, 1, 128, 0, 64)]
    [DataRow(2, 1, 128, 0, 128)]
    [DataRow(2, 1, 128, 0, 256)]
    [DataRow(2, 1, 128, 1, 16)]
    [DataRow(2, 1, 128, 40, 16)]
    [DataRow(2, 1, 128, 200, 32)]
    public void Launch_RaggedBatches_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize) =>
        WithKernel(AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize, scenarios => scenarios.CheckRagged());

    [TestMethod]
    [DataRow(64, 0, 16)]
    [DataRow(128, 0, 16)]
    [DataRow(128, 0, 8)]
    [DataRow(128, 70, 16)]
    [DataRow(128, 200, 32)]
    public void Launch_ChunksAndNeighbours_SameBits(int headDim, int window, int blockSize) =>
        WithKernel(AttentionBatch.Shape(4, 2, headDim, window), blockSize, scenarios => scenarios.CheckChunks());

    [TestMethod]
    [DataRow(64)]
    [DataRow(128)]
    public void Launch_ManySequences_MatchReference(int headDim) =>
        WithKernel(AttentionBatch.Shape(2, 2, headDim, 0), 16, scenarios => scenarios.CheckManySequences());

    private static void WithKernel(AttentionShape shape, int blockSize, Action<FlashScenarios> check)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using var kernel = new HopperFlashAttentionKernel((CudaGpuDevice)cuda.Device);
        check(new FlashScenarios(cuda.Backend, kernel.Launch, shape, blockSize));
    }
}
