using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>What the contract cannot know: variants for unaligned rows, the random sequence, indices beyond 2^31, allocations.</summary>
[TestClass]
public sealed class GpuKernelTests
{
    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void Linear_UnalignedInput_SameBits(ElementType storage)
    {
        using GpuBackend backend = TestDevice.Create();
        const int N = 19, K = 272;
        var kernel = new LinearKernel(TestDevice.DeviceOf(backend)); // a backend may have others that take aligned rows alone
        using var weight = (GpuLinearWeight)backend.CreateLinear(TestTensors.Random(1, N * K), TestTensors.Random(2, N), N, K, storage);
        foreach (int rows in new[] { 3, 9 })
        {
            float[] x = TestTensors.Random(3, rows * K);
            using DeviceBuffer aligned = backend.Upload(x), shifted = backend.Upload([0f, .. x]);
            using DeviceBuffer first = backend.Allocate(ElementType.F32, rows * N), second = backend.Allocate(ElementType.F32, rows * N);
            kernel.Launch(weight, (GpuBuffer)aligned, (GpuBuffer)first, rows, accumulate: false);
            kernel.Launch(weight, (GpuBuffer)shifted.Slice(1, rows * K), (GpuBuffer)second, rows, accumulate: false);
            TestTensors.AssertSameBits(backend.Download(first), backend.Download(second), $"{rows} rows");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void FillRandom_EveryDevice_MakesTheDocumentedSequence(ElementType storage)
    {
        using Backend backend = TestDevice.Create();
        const int N = 9, K = 1000;
        using LinearWeight weight = backend.CreateLinear(N, K, storage, hasBias: false);
        weight.FillRandom(12345, 0.25f);
        float[] expected = TestTensors.RoundTo(storage, [.. Enumerable.Range(0, N * K).Select(i => RandomElement(12345, i, 0.25f))]);
        TestTensors.AssertSameBits(expected, Rows(backend, weight, [.. Enumerable.Range(0, N)]), "sequence");
    }

    [TestMethod]
    public void FillRandomAndLinear_MoreThanTwoToThe31Elements_AreAddressed()
    {
        const int N = 70_000, K = 32_768; // 2.3e9 elements, 4.6 GB
        using GpuBackend backend = TestDevice.Create();
        if (backend.IsHostMemory || backend.QueryMemory().FreeBytes < 2 * backend.LinearByteLength(N, K, ElementType.F16, false))
            Assert.Inconclusive("skipped: needs a CUDA device with 10 GB free");
        using LinearWeight weight = backend.CreateLinear(N, K, ElementType.F16, hasBias: false);
        weight.FillRandom(7, 1f);
        float[] last = TestTensors.RoundTo(ElementType.F16, [.. Enumerable.Range(0, K).Select(i => RandomElement(7, (long)(N - 1) * K + i, 1f))]);
        TestTensors.AssertSameBits(last, Rows(backend, weight, [N - 1]), "the last row");
        float[] x = TestTensors.Random(1, K);
        using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, N);
        backend.Linear(weight, input, output, 1);
        TestTensors.AssertClose(ReferenceKernels.Linear(last, null, x, 1, 1, K), backend.Download(output).AsSpan(N - 1), 1e-3, 0, "its product");
    }

    [TestMethod]
    public void Operations_SteadyState_AllocateNothing()
    {
        if (!TestDevice.IsCuda)
            Assert.Inconclusive("skipped: ILGPU's CPU accelerator makes a task object a launch");
        using Backend backend = TestDevice.Create();
        const int Width = 64;
        using LinearWeight weight = backend.CreateLinear(TestTensors.Random(1, Width * Width), null, Width, Width, ElementType.F16);
        using DeviceBuffer x = backend.Upload(TestTensors.Random(2, Width)), y = backend.Allocate(ElementType.F32, Width);
        using DeviceBuffer norm = backend.Upload(TestTensors.Random(3, Width));
        var host = new float[Width];
        void Step()
        {
            backend.Upload(host, x);
            backend.RmsNorm(x, norm, y, 1, 1e-5f);
            backend.Linear(weight, y, x, 1);
            backend.SiluMul(x, y, 1, Width / 2);
            backend.Download(y, host);
        }
        for (int i = 0; i < 100; i++)
            Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Step();
        Assert.AreEqual(0L, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void CudaDevices_WithOrWithoutADriver_DoesNotThrow()
    {
        foreach (CudaDeviceInfo device in GpuBackend.CudaDevices())
            Assert.IsTrue(device.Index >= 0 && device.Name.Length > 0 && device.MemoryBytes > 1 << 30, device.ToString());
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => GpuBackend.CreateCuda(1000));
    }

    [TestMethod]
    public void Operations_BuffersOfAnotherBackend_ThrowArgumentException()
    {
        using Backend one = GpuBackend.CreateIlgpuCpu(), other = GpuBackend.CreateIlgpuCpu();
        using DeviceBuffer foreign = other.Allocate(ElementType.F32, 8), own = one.Allocate(ElementType.F32, 8);
        Assert.ThrowsExactly<ArgumentException>(() => one.RmsNorm(foreign, own, own, 1, 1e-5f));
    }

    private static float[] Rows(Backend backend, LinearWeight weight, int[] ids)
    {
        using DeviceBuffer indices = backend.Upload(ids), rows = backend.Allocate(ElementType.F32, (long)ids.Length * weight.InFeatures);
        backend.EmbeddingLookup(weight, indices, rows, ids.Length);
        return backend.Download(rows);
    }

    /// <summary>The sequence as <see cref="FillRandomKernel"/> documents it.</summary>
    private static float RandomElement(ulong seed, long index, float amplitude)
    {
        ulong z = unchecked(seed * 0xD1342543DE82EF95 + (ulong)(index + 1) * 0x9E3779B97F4A7C15);
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        z ^= z >> 31;
        return (float)((z >> 40) / 8388608.0 - 1) * amplitude;
    }
}
