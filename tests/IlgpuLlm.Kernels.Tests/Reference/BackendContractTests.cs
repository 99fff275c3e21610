namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>
/// What every <see cref="Backend"/> promises, checked against <see cref="ReferenceKernels"/>. A backend's test class derives from this one, carries
/// [TestClass], and says how a backend is made and how large the inputs may be.
/// </summary>
public abstract partial class BackendContractTests
{
    /// <summary>A backend of the test's own, which the test disposes.</summary>
    protected abstract Backend CreateBackend();

    /// <summary>Whether to keep the inputs small (ILGPU's CPU accelerator runs at about 0.4 GFLOP/s).</summary>
    protected virtual bool SmallInputs => false;

    /// <summary>Absolute tolerance for sums of up to some hundred products of values in [-1, 1].</summary>
    protected virtual double Tolerance => 2e-5;

    /// <summary>Whether the products of one row are added in another order than those of several.</summary>
    protected virtual bool OneRowDiffers(ElementType storage, int inFeatures) => false;

    /// <summary>Row counts around the tile sizes of microkernels.</summary>
    private int[] RowCounts => SmallInputs ? [1, 2, 3, 5, 17] : [1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 17, 24, 31, 33, 64, 65, 130];

    /// <summary>Matrix shapes: one element, less than a vector, around the tiles, more than one block over K.</summary>
    private (int Out, int In)[] LinearShapes => SmallInputs
        ? [(1, 1), (3, 7), (33, 20), (64, 64), (70, 300)]
        : [(1, 1), (2, 3), (7, 15), (16, 16), (31, 33), (33, 20), (48, 172), (64, 64), (65, 129), (100, 255), (96, 256), (130, 257), (200, 600)];

    private int[] Widths => SmallInputs ? [1, 6, 33, 64, 172] : [1, 2, 3, 6, 15, 16, 17, 31, 33, 64, 100, 172, 255, 512, 1000];
}
