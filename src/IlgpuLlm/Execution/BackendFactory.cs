using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Execution;

/// <summary>Opens the device that <c>--device</c> names.</summary>
internal static class BackendFactory
{
    private const string Supported = "supported: auto, cpu, cuda, cuda:N, ilgpu-cpu";

    /// <summary>Opens the device of some options, set up as they say.</summary>
    /// <exception cref="InvalidOptionException">The name is unknown, or there is no such device.</exception>
    public static Backend Create(EngineOptions options) =>
        Create(options.Device, options.NumThreads, options.AllowTf32, options.BatchInvariant, options.CpuActivations == "int8" ? CpuActivations.Int8 : CpuActivations.Float32);

    /// <param name="device">The name.</param>
    /// <param name="numThreads">CPU threads; 0: one a physical core.</param>
    /// <param name="allowTf32">Whether a CUDA device may multiply floats as TF32.</param>
    /// <param name="batchInvariant">Whether results must not depend on the batch, as <see cref="Backend.IsBatchInvariant"/> says.</param>
    /// <param name="activations">What the CPU multiplies quantized weights with.</param>
    /// <exception cref="InvalidOptionException">The name is unknown, or there is no such device.</exception>
    public static Backend Create(
        string device, int numThreads, bool allowTf32 = false, bool batchInvariant = false, CpuActivations activations = CpuActivations.Float32)
    {
        switch (device)
        {
            case "cpu":
                return new CpuBackend(numThreads, activations);
            case "ilgpu-cpu":
                return GpuBackend.CreateIlgpuCpu(batchInvariant);
            case "auto":
                return GpuBackend.CudaDevices().Count > 0 ? GpuBackend.CreateCuda(0, allowTf32, batchInvariant) : new CpuBackend(numThreads, activations);
            case "cuda":
                return CreateCuda(0, device, allowTf32, batchInvariant);
            case "metal":
                throw new InvalidOptionException("device", $"'metal' is not supported: ILGPU has no Metal backend; {Supported}");
        }
        if (device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device.AsSpan(5), out int index) && index >= 0)
            return CreateCuda(index, device, allowTf32, batchInvariant);
        throw new InvalidOptionException("device", $"'{device}' is not a device; {Supported}");
    }

    private static GpuBackend CreateCuda(int index, string device, bool allowTf32, bool batchInvariant)
    {
        int count = GpuBackend.CudaDevices().Count;
        if (index >= count)
            throw new InvalidOptionException("device", $"'{device}': this machine has {count} CUDA devices; {Supported}");
        return GpuBackend.CreateCuda(index, allowTf32, batchInvariant);
    }
}
