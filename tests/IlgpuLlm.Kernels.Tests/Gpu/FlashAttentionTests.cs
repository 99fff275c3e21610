using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// FlashAttention by mma.sync. On CUDA; where there is none, one small case on ILGPU's CPU accelerator, which runs the kernel's own code with its
/// instructions emulated.
/// </summary>
[TestClass]
public sealed class FlashAttentionTests
{
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
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda.Backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize).CheckRagged();
    }

    [TestMethod]
    [DataRow(64, 0)]
    [DataRow(128, 0)]
    [DataRow(128, 70)]
    public void Launch_ChunksAndNeighbours_SameBits(int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda.Backend, AttentionBatch.Shape(4, 2, headDim, window), 16).CheckChunks();
    }

    [TestMethod]
    public void Launch_ManySequences_MatchReference()
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda.Backend, AttentionBatch.Shape(2, 2, 64, 0), 16).CheckManySequences();
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(64, 0)]
    [DataRow(80, 21)]
    public void Launch_Emulated_MatchesReference(int headDim, int window)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Scenarios(backend, AttentionBatch.Shape(1, 1, headDim, window), 4).CheckFew();
    }

    private static FlashScenarios Scenarios(GpuBackend backend, AttentionShape shape, int blockSize) =>
        new(backend, new FlashAttentionKernel(TestDevice.DeviceOf(backend)).Launch, shape, blockSize);
}
