using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>The tensor-core products against the double-precision reference, which sees the same rounded activations.</summary>
[TestClass]
public sealed class MmaLinearTests
{
    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(129, 320)]
    [DataRow(1000, 704)]
    public void Linear_SeveralRowsOfHalves_MatchTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = TestDevice.Create();
        if (backend.IsHostMemory)
            Assert.Inconclusive("skipped: tensor cores need a CUDA device");
        const int MaxRows = 130;
        backend.ReserveWorkspace(MaxRows, new AttentionShape(1, 1, 8, 0, 1), 1, inFeatures);
        float[] w = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(1, outFeatures * inFeatures)), bias = TestTensors.Random(2, outFeatures);
        float[] x = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(3, MaxRows * inFeatures));
        using LinearWeight weight = backend.CreateLinear(w, bias, outFeatures, inFeatures, ElementType.F16);
        using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, MaxRows * outFeatures);
        backend.Linear(weight, input, output, MaxRows);
        float[] all = backend.Download(output);
        TestTensors.AssertClose(ReferenceKernels.Linear(w, bias, x, MaxRows, outFeatures, inFeatures), all, 2e-4, 2e-4, "all rows");
        foreach (int rows in new[] { 2, 15, 16, 17, 33, 63, 64, 65, 127, 129 })
        {
            backend.Linear(weight, input, output, rows);
            TestTensors.AssertSameBits(all[..(rows * outFeatures)], backend.Download(output)[..(rows * outFeatures)], $"{rows} rows");
        }
    }
}
