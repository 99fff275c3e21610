using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// The decode kernels of halves against the double-precision reference, which sees the same halves. On CUDA; where there is none, small cases on ILGPU's CPU
/// accelerator, which runs the kernel's own code with its instructions emulated.
/// </summary>
[TestClass]
public sealed class DecodeAttentionTests
{
    private static readonly int[] Lengths = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 300, 1100, 0];

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
        using var cuda = TestDevice.RentCuda();
        Check(cuda.Backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), blockSize, Lengths);
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
    public void Launch_BatchesAndRepetitions_SameBits(int headDim, int window)
    {
        using var cuda = TestDevice.RentCuda();
        AttentionShape shape = AttentionBatch.Shape(4, 2, headDim, window);
        int[] lengths = [700, 5, 0, 129, 300, 1024], many = [.. lengths, .. Enumerable.Range(0, 600).Select(i => 1 + i % 7)];
        foreach (var (kernel, splitsBySize) in new[] { (ManyHeads(cuda.Device), true), (FewHeads(cuda.Device), false) })
        {
            float[] Run(int blockSize, int[] ofLengths, int firstSeed = 0) => new DecodeScenarios(cuda.Backend, ElementType.F16, shape, blockSize, ofLengths, firstSeed).Run(kernel);
            float[] all = Run(16, lengths);
            TestTensors.AssertSameBits(all, Run(16, lengths), "again");
            TestTensors.AssertSameBits(all, Run(1, lengths), "blocks of 1");
            float[] inMany = Run(16, many);
            TestTensors.AssertSameBits(inMany, Run(16, [.. many, 9, 400, 1]).AsSpan(0, inMany.Length), "in a larger batch");
            if (splitsBySize) // longer splits where there are many sequences
                TestTensors.AssertClose([.. all.Select(v => (double)v)], inMany.AsSpan(0, all.Length), 2e-3, 2e-3, "in a large batch");
            else
                TestTensors.AssertSameBits(all, inMany.AsSpan(0, all.Length), "in a large batch");
            for (int s = 0; s < lengths.Length; s++)
                TestTensors.AssertSameBits(all.AsSpan(s * shape.QueryWidth, shape.QueryWidth), Run(16, lengths[s..(s + 1)], s), $"sequence {s} alone");
        }
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    [DataRow(1, 1, 64, 0, 150)]
    [DataRow(3, 1, 80, 21, 45)]
    [DataRow(5, 5, 128, 0, 70)]
    [DataRow(10, 1, 96, 0, 18)]
    [DataRow(8, 1, 128, 0, 17)]
    [DataRow(2, 1, 64, 0, 1)]
    public void Launch_Emulated_MatchesReference(int numHeads, int numKvHeads, int headDim, int window, int length)
    {
        using GpuBackend backend = TestDevice.CreateEmulated(lanes: 128);
        Check(backend, AttentionBatch.Shape(numHeads, numKvHeads, headDim, window), 4, [length, 0]);
    }

    // Of caches of halves and of codes. Weights, scaled or not, and results are rounded to 11 bits.
    private static void Check(GpuBackend backend, AttentionShape shape, int blockSize, int[] lengths)
    {
        GpuDevice device = TestDevice.DeviceOf(backend);
        foreach (var cache in new[] { ElementType.F16, ElementType.U8 })
        {
            var scenarios = new DecodeScenarios(backend, ElementType.F16, shape, blockSize, lengths, cache: cache);
            scenarios.Check(ManyHeads(device, cache), 2e-3, 2e-3, $"{cache}, many heads");
            if (WarpAttentionKernel.Supports(shape))
                scenarios.Check(FewHeads(device, cache), 2e-3, 2e-3, $"{cache}, few heads");
        }
    }

    private static DecodeScenarios.Factory ManyHeads(GpuDevice device, ElementType cache = ElementType.F16) =>
        (maxSeqs, shape) => Reserve(new DecodeAttentionKernel(device), maxSeqs, shape, cache);

    private static DecodeScenarios.Factory FewHeads(GpuDevice device, ElementType cache = ElementType.F16) =>
        (maxSeqs, shape) => Reserve(new WarpAttentionKernel(device), maxSeqs, shape, cache);

    private static (DecodeLaunch Launch, IDisposable Kernel) Reserve(IDecodeAttention kernel, int maxSeqs, AttentionShape shape, ElementType cache)
    {
        kernel.Reserve(maxSeqs, shape, cache);
        return (kernel.Launch, kernel);
    }
}
