using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What products of floats need.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Waits until at most four groups of copies are under way.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_group 4;")]
    public static void WaitCopies4()
    {
    }
}
