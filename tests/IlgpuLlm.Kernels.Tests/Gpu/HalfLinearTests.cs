namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Products of halves with halves on a CUDA device, one row to many, against the double-precision reference.</summary>
[TestClass]
public sealed class HalfLinearTests
{
    private const int MaxStreamedRows = 128;

    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 130, 255, 257];

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 320)]
    [DataRow(1000, 704)]
    public void Linear_Halves_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinear(outFeatures, inFeatures, ElementType.F32, 2e-4);
        Scenarios(cuda).CheckLinear(outFeatures, inFeatures, ElementType.F16, 2e-2);
    }

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 704)]
    public void LinearAdd_Halves_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinearAdd(outFeatures, inFeatures, 2e-4);
    }

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(192, 128)]
    [DataRow(704, 320)]
    public void LinearSiluMul_Halves_MatchesTheReferenceAndNotTheBatch(int intermediate, int hidden)
    {
        using var cuda = TestDevice.RentCuda();
        Scenarios(cuda).CheckLinearSiluMul(intermediate, hidden, 2e-4);
    }

    private static LinearScenarios Scenarios(TestDevice.Lease cuda) => new(cuda.Backend, ElementType.F16, RowCounts, MaxStreamedRows, 1e-3);
}
