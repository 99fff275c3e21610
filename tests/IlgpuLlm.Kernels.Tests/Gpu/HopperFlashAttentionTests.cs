using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>FlashAttention on wgmma in the scenarios of <see cref="FlashAttentionTests"/>; a Hopper is needed.</summary>
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
        WithKernel((backend, launch) => FlashAttentionTests.CheckRagged(backend, launch, FlashAttentionTests.Shape(numHeads, numKvHeads, headDim, window), blockSize));

    [TestMethod]
    [DataRow(64, 0, 16)]
    [DataRow(128, 0, 16)]
    [DataRow(128, 0, 8)]
    [DataRow(128, 70, 16)]
    [DataRow(128, 200, 32)]
    public void Launch_ChunksAndNeighbours_SameBits(int headDim, int window, int blockSize) =>
        WithKernel((backend, launch) => FlashAttentionTests.CheckChunks(backend, launch, FlashAttentionTests.Shape(4, 2, headDim, window), blockSize));

    [TestMethod]
    [DataRow(64)]
    [DataRow(128)]
    public void Launch_ManySequences_MatchReference(int headDim) =>
        WithKernel((backend, launch) => FlashAttentionTests.CheckManySequences(backend, launch, FlashAttentionTests.Shape(2, 2, headDim, 0)));

    private static void WithKernel(Action<GpuBackend, FlashLaunch> check)
    {
        using GpuBackend backend = FlashAttentionTests.Cuda();
        if (FlashAttentionTests.Device(backend) is not CudaGpuDevice { IsHopper: true } device)
        {
            Assert.Inconclusive("skipped: wgmma needs a Hopper");
            return;
        }
        using var kernel = new HopperFlashAttentionKernel(device);
        check(backend, kernel.Launch);
    }
}
