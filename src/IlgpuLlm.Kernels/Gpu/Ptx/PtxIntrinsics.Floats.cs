using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What products of floats need.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>a * b + c, rounded once.</summary>
    [IntrinsicImplementation, Ptx("fma.rn.f32 $0, %0, %1, %2;")]
    public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>Four floats of shared memory, 16-byte aligned.</summary>
    [IntrinsicImplementation, Ptx("ld.shared.v4.f32 {$0,$1,$2,$3}, [%0];")]
    public static Float4 LoadShared16(uint shared) => PtxEmulation.LoadShared16(shared);

    /// <summary>Waits until at most four groups of copies are under way.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_group 4;")]
    public static void WaitCopies4()
    {
    }
}
