using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// FlashAttention of floats. On CUDA; where there is none, small cases on ILGPU's CPU accelerator, which runs the kernel's own code with its instructions
/// emulated.
/// </summary>
[TestClass]
public sealed class FloatFlashTests
{
    private static readonly ElementType[] Caches = [ElementType.F32, ElementType.F16, ElementType.U8];

    [TestMethod]
    [DataRow(1, 1, 64, 0, 16)]
    [DataRow(4, 2, 64, 0, 1)]
    [DataRow(2, 2, 80, 0, 32)]
    [DataRow(4, 1, 96, 0, 5)]
    [DataRow(2, 2, 128, 0, 16)]
    [DataRow(8, 1, 128, 0, 16)]
    [DataRow(2, 1, 128, 1, 16)]
    [DataRow(2, 1, 128, 40, 16)]
    [DataRow(2, 2, 64, 100, 32)]
    public void Launch_RaggedBatches_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize)
    {
        using var cuda = TestDevice.RentCuda();
        foreach (var cache in Caches)
            Scenarios(cuda.Backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize, cache).CheckRagged();
    }

    [TestMethod]
    [DataRow(64, 0)]
    [DataRow(80, 0)]
    [DataRow(128, 70)]
    public void Launch_ChunksAndNeighbours_SameBits(int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda();
        foreach (var cache in Caches)
            Scenarios(cuda.Backend, AttentionBatch.Shape(4, 2, headDim, window), 16, cache).CheckChunks();
    }

    [TestMethod]
    public void Launch_ManySequences_MatchReference()
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda.Backend, AttentionBatch.Shape(2, 2, 64, 0), 16, ElementType.F32).CheckManySequences();
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(1, 1, 64, 0, 4, ElementType.F32)]
    [DataRow(2, 1, 80, 21, 5, ElementType.F32)]
    [DataRow(1, 1, 96, 0, 16, ElementType.F16)]
    [DataRow(1, 1, 128, 0, 16, ElementType.U8)]
    [DataRow(2, 2, 128, 1, 1, ElementType.F32)]
    public void Launch_EmulatedChunks_MatchReference(int numHeads, int numKvHeads, int headDim, int window, int blockSize, ElementType cache)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Scenarios(backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize, cache).CheckFew();
    }

    [TestMethod]
    [DoNotParallelize]
    [DataRow(1, 1, 128, 0)]
    [DataRow(1, 1, 64, 70)]
    public void Launch_EmulatedPrompts_MatchReference(int numHeads, int numKvHeads, int headDim, int window)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Scenarios(backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), 16, ElementType.F32).CheckLengths(1, 15, 16, 17, 63, 64, 65, 255);
    }

    [TestMethod]
    [DoNotParallelize]
    public void Launch_EmulatedHeadsOfAGroup_MatchReference()
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Scenarios(backend, AttentionBatch.Shape(8, 1, 64, 0), 16, ElementType.F32).CheckLengths(2, 17);
    }

    private static FlashScenarios Scenarios(GpuBackend backend, AttentionShape shape, int blockSize, ElementType cache) =>
        new(backend, new FloatFlashKernel(TestDevice.DeviceOf(backend)).Launch, shape, blockSize, cache, ElementType.F32);
}
