using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.PtxGate;

/// <summary>A kernel on an architecture.</summary>
/// <param name="Kernel">The kernel.</param>
/// <param name="Architecture">Such as sm_90.</param>
/// <param name="Milliseconds">The time of ILGPU's compilation, which all architectures share.</param>
/// <param name="Ptxas">What ptxas says; null where it was not asked.</param>
/// <param name="Failures">What is wrong, a line each.</param>
internal sealed record KernelReport(GpuKernel Kernel, string Architecture, long Milliseconds, PtxasReport? Ptxas, IReadOnlyList<string> Failures);
