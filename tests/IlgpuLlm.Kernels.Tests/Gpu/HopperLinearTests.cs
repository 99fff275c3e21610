using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Hopper's products against double-precision dot products of the same halves, with every epilogue, on sizes around the edges of tiles.</summary>
[TestClass]
public sealed class HopperLinearTests
{
    private static readonly LinearEpilogue[] Epilogues = Enum.GetValues<LinearEpilogue>();
    private static readonly int[] Rows = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 130, 255, 257, HopperProduct.MaxRows];

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(136, 320)]
    [DataRow(48, 72)]
    [DataRow(1000, 704)]
    [DataRow(1040, 1096)]
    [DataRow(4096, 4096)]
    public void Launch_AnyRowsAndEpilogue_MatchesTheReferenceAndNotTheBatch(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using var kernel = new HopperLinearKernel((CudaGpuDevice)cuda.Device);
        using var product = new HopperProduct(cuda, kernel, outFeatures, inFeatures);
        LinearEpilogue[] epilogues = [.. Epilogues.Where(epilogue => kernel.Supports(product.Weight, epilogue))];
        product.Prepare(from epilogue in epilogues from rows in Rows select kernel.NameOf(product.Weight, rows, epilogue));
        foreach (bool hasBias in new[] { false, true })
        {
            product.HasBias = hasBias;
            foreach (LinearEpilogue epilogue in epilogues)
            {
                float[]? narrow = null, wide = null;
                foreach (int rows in Rows.Reverse())
                {
                    float[] result = product.Check(epilogue, rows);
                    ref float[]? largest = ref rows <= HopperLinearKernel.MaxNarrowRows ? ref narrow : ref wide;
                    largest ??= result;
                    TestTensors.AssertSameBits(largest.AsSpan(0, result.Length), result, product.Describe(epilogue, rows) + " against more rows");
                }
            }
        }
    }

    [TestMethod]
    [DataRow(1040, 712)] // divided tiles only, where tiles are divided
    [DataRow(8736, 200)] // whole tiles and divided ones on a device of 132 multiprocessors
    public void Launch_EveryWideTile_GivesTheSameBits(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using var kernel = new HopperLinearKernel((CudaGpuDevice)cuda.Device);
        using var product = new HopperProduct(cuda, kernel, outFeatures, inFeatures) { HasBias = true };
        (int Tile, LinearEpilogue Epilogue)[] forms =
            [.. from epilogue in Epilogues from tile in Enumerable.Range(0, HopperVariants.WideTiles.Length) select (tile, epilogue)];
        product.Prepare(forms.Select(form =>
        {
            kernel.WideTile = form.Tile;
            return kernel.NameOf(product.Weight, Rows[^1], form.Epilogue);
        }));
        foreach (var ofEpilogue in forms.GroupBy(form => form.Epilogue))
        {
            foreach (int rows in new[] { 129, 300, 512 })
            {
                float[]? first = null;
                foreach (var form in ofEpilogue)
                {
                    kernel.WideTile = form.Tile;
                    float[] result = product.Check(form.Epilogue, rows);
                    first ??= result;
                    TestTensors.AssertSameBits(first, result, product.Describe(form.Epilogue, rows) + " against the first tile");
                }
            }
        }
    }

    [TestMethod]
    [DataRow(1040, 712)]
    [DataRow(208, 1096)]
    public void Launch_EverySplit_MatchesTheReference(int outFeatures, int inFeatures)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using var kernel = new HopperLinearKernel((CudaGpuDevice)cuda.Device);
        using var product = new HopperProduct(cuda, kernel, outFeatures, inFeatures) { HasBias = true };
        int[] rowCounts = [3, 13, 32, 61, 128], splits = [1, 2, 4, 8];
        var forms = (from split in splits from epilogue in Epilogues from rows in rowCounts select (split, epilogue, rows)).ToArray();
        product.Prepare(forms.Select(form =>
        {
            kernel.NarrowSplit = form.split;
            return kernel.NameOf(product.Weight, form.rows, form.epilogue);
        }));
        foreach ((int split, LinearEpilogue epilogue, int rows) in forms)
        {
            kernel.NarrowSplit = split;
            product.Check(epilogue, rows);
        }
    }

    [TestMethod]
    public void Launch_WhileAStreamIsCaptured_MakesMapsAndRuns()
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        using HopperLinearKernel kernel = new((CudaGpuDevice)cuda.Device), fresh = new((CudaGpuDevice)cuda.Device);
        using HopperProduct product = new(cuda, kernel, 256, 512);
        float[] expected = product.Run(LinearEpilogue.Floats, 16, "not captured");
        float[] captured = product.Run(LinearEpilogue.Floats, 16, "captured", fresh);
        TestTensors.AssertSameBits(expected, captured, "captured");
    }

    [TestMethod]
    [DataRow(4096, 4096, 4)]
    [DataRow(12288, 4096, 1)]
    [DataRow(22016, 4096, 1)]
    [DataRow(4096, 11008, 4)]
    [DataRow(32000, 4096, 1)]
    [DataRow(6144, 4096, 2)]
    [DataRow(64, 64, 1)]
    [DataRow(64, 4096, 8)]
    public void Split_ModelShapes_FillTheDeviceOnce(int outFeatures, int inFeatures, int expected) =>
        Assert.AreEqual(expected, HopperLinearKernel.Split(outFeatures, inFeatures));
}
