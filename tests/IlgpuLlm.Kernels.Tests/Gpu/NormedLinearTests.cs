using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Products of one row that their kernel normalizes itself, against the reference of both steps.</summary>
[TestClass]
public sealed class NormedLinearTests
{
    private const float Epsilon = 1e-5f;
    private const float Untouched = 7;

    // Less than a warp's chunks, a remainder of the first eight vectors of each lane, and with one lane far more of them; the widest row there is.
    private static readonly (int Out, int In)[] Shapes = [(1, 8), (33, 64), (64, 520), (7, 4104), (4, NormedRow.MaxWidth)];

    [TestMethod]
    public void RmsNormLinear_OneRow_MatchesTheReferenceInOneKernel()
    {
        using var device = TestDevice.Rent();
        CheckLinear(device.Backend, Shapes);
    }

    [TestMethod]
    public void RmsNormLinear_FourLanes_MatchesTheReference()
    {
        using var backend = TestDevice.CreateEmulated(lanes: 4);
        CheckLinear(backend, [(3, 64), (2, 520)]);
    }

    [TestMethod]
    public void RmsNormLinearSiluMul_OneRow_MatchesTheReferenceInOneKernel()
    {
        using var device = TestDevice.Rent();
        var backend = device.Backend;
        foreach ((int intermediate, int hidden) in new[] { (8, 64), (24, 520) })
        {
            var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), ElementType.F16);
            var data = new ProductData(ElementType.F16, 2 * intermediate, hidden, maxRows: 1, amplitude: 3);
            float[] norm = TestTensors.Random(5, hidden, 2 / MathF.Sqrt(hidden));
            using LinearWeight weight = data.LoadGateUp(backend, model);
            float[] gateUp = [.. Expected(data, norm).Select(v => (float)v)];
            Check(backend, data, norm, ReferenceKernels.SiluMul(gateUp, 1, intermediate), (x, w, normed, y) =>
                backend.RmsNormLinearSiluMul(x, w, Epsilon, normed, weight, y, 1));
        }
    }

    [TestMethod]
    public void RmsNormLinear_BuffersOfOtherSizes_Throws()
    {
        using var device = TestDevice.Rent();
        var backend = device.Backend;
        using LinearWeight weight = backend.CreateLinear(new float[64 * 64], null, 64, 64, ElementType.F16);
        using DeviceBuffer floats = backend.Allocate(ElementType.F32, 64), few = backend.Allocate(ElementType.F32, 63);
        using DeviceBuffer halves = backend.Allocate(ElementType.F16, 64), fewHalves = backend.Allocate(ElementType.F16, 63);
        Assert.ThrowsExactly<ArgumentException>(() => backend.RmsNormLinear(few, floats, Epsilon, halves, weight, halves, 1));
        Assert.ThrowsExactly<ArgumentException>(() => backend.RmsNormLinear(halves, floats, Epsilon, halves, weight, halves, 1));
        Assert.ThrowsExactly<ArgumentException>(() => backend.RmsNormLinear(floats, few, Epsilon, halves, weight, halves, 1));
        Assert.ThrowsExactly<ArgumentException>(() => backend.RmsNormLinear(floats, floats, Epsilon, halves, weight, fewHalves, 1));
    }

    private static void CheckLinear(GpuBackend backend, (int Out, int In)[] shapes)
    {
        foreach ((int outFeatures, int inFeatures) in shapes)
        {
            var data = new ProductData(ElementType.F16, outFeatures, inFeatures, maxRows: 1, amplitude: 3);
            float[] norm = TestTensors.Random(5, inFeatures, 2 / MathF.Sqrt(inFeatures));
            using LinearWeight weight = data.Load(backend, ElementType.F16);
            Check(backend, data, norm, Expected(data, norm), (x, w, normed, y) => backend.RmsNormLinear(x, w, Epsilon, normed, weight, y, 1));
        }
    }

    private static double[] Expected(ProductData data, float[] norm)
    {
        float[] normed = [.. ReferenceKernels.RmsNorm([.. data.X], norm, 1, Epsilon).Select(v => (float)v)];
        return ReferenceKernels.Linear(data.Weight, data.Bias, TestTensors.RoundTo(ElementType.F16, normed), 1, data.OutFeatures, data.InFeatures);
    }

    private static void Check(
        GpuBackend backend, ProductData data, float[] norm, double[] expected,
        Action<DeviceBuffer, DeviceBuffer, DeviceBuffer, DeviceBuffer> run)
    {
        float[] untouched = new float[data.InFeatures];
        Array.Fill(untouched, Untouched);
        using DeviceBuffer x = backend.Upload(data.X), weight = backend.Upload(norm), normed = backend.Upload(ElementType.F16, untouched), y = backend.Allocate(ElementType.F16, expected.Length);
        run(x, weight, normed, y);
        // A normalized element that lies at the border between two halves may be the other one; so may the result.
        const double Tolerance = 2e-3;
        TestTensors.AssertClose(expected, backend.Download(y), Tolerance, Tolerance, $"[{data.OutFeatures}, {data.InFeatures}]");
        TestTensors.AssertSameBits(untouched, backend.Download(normed), "what a kernel of its own would have written");
    }
}
