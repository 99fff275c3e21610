using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Programmatic dependent launch: kernels of a graph that begin before the one before them has ended.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Lets the next kernel begin as soon as all groups of this one have come here or ended.</summary>
    [IntrinsicImplementation, Ptx("griddepcontrol.launch_dependents;")]
    public static void LaunchDependents() => throw Only();

    /// <summary>Waits until the kernels before this one have ended and their results are visible.</summary>
    [IntrinsicImplementation, Ptx("griddepcontrol.wait;")]
    public static void WaitForDependencies() => throw Only();
}
