using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What attention on Hopper's tensor cores needs beside what products need.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Waits at the barrier <paramref name="id"/> (1 to 15) until so many lanes, a multiple of 32, have come there or said that they were there.</summary>
    [IntrinsicImplementation, Ptx("barrier.sync %0, %1;")]
    public static void MeetAt(int id, int lanes) => throw Only();

    /// <summary>Sets 16 bytes of shared memory to zero.</summary>
    [IntrinsicImplementation, Ptx("{ .reg .b32 z; mov.b32 z, 0; st.shared.v4.b32 [%0], {z,z,z,z}; }")]
    public static void ZeroShared16(uint shared) => throw Only();

    /// <summary>Lets wgmma see what this lane wrote to shared memory.</summary>
    [IntrinsicImplementation, Ptx("fence.proxy.async.shared::cta;")]
    public static void FenceShared() => throw Only();
}
