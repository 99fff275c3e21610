namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A CUDA device as the driver shows it.</summary>
/// <param name="Index">What <see cref="GpuBackend.CreateCuda"/> takes.</param>
/// <param name="Name">Such as <c>NVIDIA H100 80GB HBM3</c>.</param>
/// <param name="MemoryBytes">All of its memory.</param>
public sealed record CudaDeviceInfo(int Index, string Name, long MemoryBytes);
