using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>The GPU kernels against the reference, on the device that <see cref="TestDevice"/> chooses.</summary>
[TestClass]
public sealed class GpuBackendTests : BackendContractTests
{
    protected override bool SmallInputs => !TestDevice.IsCuda;

    protected override bool OneRowDiffers(ElementType storage, int inFeatures) =>
        TestDevice.IsCuda && storage == ElementType.F32 && SimtLinearKernel.SupportsRows(inFeatures);

    protected override Backend CreateBackend() => TestDevice.Create();
}
