using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Barriers, shuffles and the division of work among lanes, on ILGPU's CPU accelerator with groups of four lanes: four threads that meet at each
/// barrier, so the shapes are tiny.
/// </summary>
[TestClass]
public sealed class LaneTests
{
    private const int Lanes = 4;

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void Linear_FourLanes_MatchesReference(ElementType storage)
    {
        using Backend backend = GpuBackend.CreateIlgpuCpu(Lanes);
        foreach ((int n, int k) in new[] { (3, 7), (5, 64), (2, 203) })
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k)), bias = TestTensors.Random(k, n);
            using LinearWeight weight = backend.CreateLinear(w, bias, n, k, storage);
            foreach (int rows in new[] { 1, 3, 9 })
            {
                float[] x = TestTensors.Random(rows, rows * k);
                using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, rows * n);
                backend.Linear(weight, input, output, rows);
                TestTensors.AssertClose(ReferenceKernels.Linear(w, bias, x, rows, n, k), backend.Download(output), 2e-5, 1e-6, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    public void RmsNorm_FourLanes_MatchesReference()
    {
        using Backend backend = GpuBackend.CreateIlgpuCpu(Lanes);
        foreach (int width in new[] { 1, 3, 37 })
        {
            float[] x = TestTensors.Random(width, 2 * width), w = TestTensors.Random(width + 1, width);
            using DeviceBuffer input = backend.Upload(x), weight = backend.Upload(w), output = backend.Allocate(ElementType.F32, 2 * width);
            backend.RmsNorm(input, weight, output, 2, 1e-5f);
            TestTensors.AssertClose(ReferenceKernels.RmsNorm([.. x], w, 2, 1e-5f), backend.Download(output), 1e-6, 1e-6, $"width {width}");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32, 20, 0)]
    [DataRow(ElementType.F16, 64, 130)]
    public void PagedAttention_FourLanes_SameBitsAsOne(ElementType cacheType, int headDim, int window)
    {
        var shape = new AttentionShape(1, 1, headDim, window, 1 / MathF.Sqrt(headDim));
        const int Length = 133; // two tiles for the last tokens
        var run = new AttentionRun
        {
            Shape = shape,
            BlockSize = 16,
            CacheType = cacheType,
            Sequences = [TestTensors.Random(1, Length * shape.QkvWidth, 2)],
            RotaryTable = TestTensors.Random(2, Length * headDim),
            Steps = [[Length - 3]],
        };
        using Backend one = GpuBackend.CreateIlgpuCpu(lanes: 1), four = GpuBackend.CreateIlgpuCpu(Lanes);
        TestTensors.AssertSameBits(run.Execute(one)[0], run.Execute(four)[0], "attention");
    }
}
