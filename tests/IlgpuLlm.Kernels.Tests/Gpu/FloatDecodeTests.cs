using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Decode attention of floats against the double-precision reference. On CUDA; where there is none, small cases on ILGPU's CPU accelerator, which runs the
/// kernel's own code with its instructions emulated.
/// </summary>
[TestClass]
public sealed class FloatDecodeTests
{
    private static readonly int[] Lengths = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 300, 1100, 0];

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
        using var cuda = TestDevice.RentCuda();
        foreach (var cache in new[] { ElementType.F32, ElementType.F16, ElementType.U8 })
            Check(cuda.Backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize, Lengths, cache: cache);
    }

    [TestMethod]
    public void Launch_ManySequences_MatchReference()
    {
        using var cuda = TestDevice.RentCuda();
        Check(cuda.Backend, AttentionBatch.Shape(4, 2, 128, 0), 16, [.. Enumerable.Range(0, 130).Select(i => 1 + i * 3)]);
    }

    [TestMethod]
    [DataRow(128, 0)]
    [DataRow(64, 200)]
    public void Launch_Batches_SameBits(int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda();
        AttentionShape shape = AttentionBatch.Shape(4, 2, headDim, window);
        int[] lengths = [700, 5, 0, 129, 300, 1024];
        float[] all = Check(cuda.Backend, shape, 16, lengths);
        TestTensors.AssertSameBits(all, Check(cuda.Backend, shape, 1, lengths), "blocks of 1");
        for (int s = 0; s < lengths.Length; s++)
            TestTensors.AssertSameBits(all.AsSpan(s * shape.QueryWidth, shape.QueryWidth), Check(cuda.Backend, shape, 16, lengths[s..(s + 1)], s), $"sequence {s} alone");
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(1, 1, 64, 0, 150)]
    [DataRow(3, 1, 72, 21, 45)]
    [DataRow(8, 1, 128, 0, 18)]
    public void Launch_Emulated_MatchesReference(int numHeads, int numKvHeads, int headDim, int window, int length)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        foreach (var cache in new[] { ElementType.F32, ElementType.F16, ElementType.U8 })
            Check(backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), 4, [length, 0], cache: cache);
    }

    private static float[] Check(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths, int firstSeed = 0, ElementType cache = ElementType.F32)
    {
        GpuDevice device = TestDevice.DeviceOf(backend);
        return new DecodeScenarios(backend, ElementType.F32, shape, blockSize, lengths, firstSeed, cache).Check(Create, 2e-5, 1e-5, $"{cache}");

        (DecodeLaunch Launch, IDisposable Kernel) Create(int maxSeqs, AttentionShape heads)
        {
            var kernel = new FloatDecodeKernel(device);
            kernel.Reserve(maxSeqs, heads, cache);
            return (kernel.Launch, kernel);
        }
    }
}
