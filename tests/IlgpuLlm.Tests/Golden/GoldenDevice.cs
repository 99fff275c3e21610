using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Tests.Golden;

/// <summary>Where the ILGPU kernels run in tests: on a CUDA card if there is one, else on ILGPU's CPU accelerator.</summary>
internal static class GoldenDevice
{
    public static string Ilgpu { get; } = Environment.GetEnvironmentVariable("ILGPULLM_TEST_DEVICE") switch
    {
        null or "" or "auto" => GpuBackend.CudaDevices().Count > 0 ? "cuda" : "ilgpu-cpu",
        var device => device,
    };

    public static bool IsCuda => Ilgpu.StartsWith("cuda", StringComparison.Ordinal);

    /// <summary>ILGPU's CPU accelerator runs one operating-system thread a lane, so it gets the short prompts only.</summary>
    public static int MaxPromptLength => IsCuda ? int.MaxValue : 17;
}
