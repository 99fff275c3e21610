namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>A kernel in PTX, patched, and what its launcher must know of it.</summary>
/// <param name="Text">The PTX.</param>
/// <param name="StaticSharedBytes">Its static shared memory, in bytes.</param>
/// <param name="HasDynamicShared">Whether a launch gives it dynamic shared memory.</param>
internal sealed record PtxKernel(string Text, int StaticSharedBytes, bool HasDynamicShared);
