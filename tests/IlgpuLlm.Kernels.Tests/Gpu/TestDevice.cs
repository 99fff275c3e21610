using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// The accelerator that kernel tests run on: <c>ILGPULLM_TEST_DEVICE</c> = <c>cuda</c>, <c>cuda:N</c>, <c>ilgpu-cpu</c> or <c>auto</c> (the default:
/// CUDA where there is a device, otherwise ILGPU's CPU accelerator).
/// </summary>
internal static class TestDevice
{
    private static readonly Lazy<int?> CudaIndex = new(Choose);

    /// <summary>Whether tests run on CUDA.</summary>
    public static bool IsCuda => CudaIndex.Value is not null;

    /// <summary>Opens the chosen device.</summary>
    public static GpuBackend Create(bool allowTf32 = false, bool batchInvariant = false) =>
        CudaIndex.Value is { } index ? GpuBackend.CreateCuda(index, allowTf32, batchInvariant) : GpuBackend.CreateIlgpuCpu(batchInvariant);

    /// <summary>Opens the chosen device without a backend; null where it is not a CUDA device.</summary>
    public static CudaGpuDevice? CreateCudaDevice() => CudaIndex.Value is { } index ? CudaGpuDevice.Create(index) : null;

    /// <summary>Opens the chosen device without its kernels.</summary>
    public static GpuDevice Open() => CudaIndex.Value is { } index ? CudaGpuDevice.Create(index) : IlgpuCpuDevice.Create(lanes: 1);

    private static int? Choose()
    {
        string device = Environment.GetEnvironmentVariable("ILGPULLM_TEST_DEVICE") ?? "auto";
        return device switch
        {
            "auto" => GpuBackend.CudaDevices() is [var first, ..] ? first.Index : null,
            "ilgpu-cpu" => null,
            "cuda" => 0,
            _ when device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device[5..], out int index) => index,
            _ => throw new InvalidOperationException($"ILGPULLM_TEST_DEVICE is '{device}', not auto, cuda, cuda:N or ilgpu-cpu"),
        };
    }
}
