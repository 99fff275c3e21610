using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Gpu.Ptx;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A CUDA device.</summary>
internal sealed class CudaGpuDevice : GpuDevice
{
    private const int MaxSharedBytesOptIn = 97; // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN

    private readonly CudaAccelerator _accelerator;
    private readonly PtxCompiler _compiler;
    private readonly PtxCache _cache = PtxCache.OfUser();

    private CudaGpuDevice(Context context, CudaAccelerator accelerator)
        : base(context, accelerator)
    {
        _accelerator = accelerator;
        _compiler = new PtxCompiler(accelerator.Architecture, accelerator.InstructionSet);
    }

    public override string Name => $"cuda:{_accelerator.DeviceId}";

    public override string Description => _accelerator.Name;

    /// <summary>Whether the device multiplies halves by mma.sync with cp.async: sm_80 and later.</summary>
    public bool HasTensorCores => _accelerator.Architecture.Major >= 8;

    /// <summary>Whether kernels may be launched before the ones in front of them have ended: sm_90 and later.</summary>
    public bool HasDependentLaunch => _accelerator.Architecture.Major >= 9;

    /// <summary>Whether it is a Hopper: wgmma, tensor memory accelerator (sm_90a, which no later device runs).</summary>
    public bool IsHopper => _accelerator.Architecture is { Major: 9, Minor: 0 };

    /// <summary>The multiprocessors of the device.</summary>
    public int NumMultiprocessors => _accelerator.NumMultiprocessors;

    /// <summary>The shared memory that a group may have when it asks for more than the usual 48 KiB.</summary>
    public int MaxSharedBytes => Driver.GetDeviceAttribute((DeviceAttributeKind)MaxSharedBytesOptIn, _accelerator.DeviceId);

    private static CudaAPI Driver => CudaAPI.CurrentAPI;

    /// <summary>The devices that the driver shows; none where there is no driver.</summary>
    public static IReadOnlyList<CudaDevice> List()
    {
        try
        {
            CudaLibrary.Register();
            return [.. CudaDevice.GetDevices(_ => true).Cast<CudaDevice>()];
        }
        catch (Exception)
        {
            return []; // whatever is wrong with the driver, there is no device to use
        }
    }

    public static CudaGpuDevice Create(int index)
    {
        var device = List().FirstOrDefault(d => d.DeviceId == index)
            ?? throw new ArgumentOutOfRangeException(nameof(index), index, $"there are {List().Count} CUDA devices");
        var context = Context.Create(builder => PtxKernels.Configure(builder.Cuda()));
        return new CudaGpuDevice(context, device.CreateCudaAccelerator(context));
    }

    public override DeviceMemory QueryMemory()
    {
        Accelerator.Bind();
        CudaException.ThrowIfFailed(Driver.GetMemoryInfo(out long free, out long total));
        return new DeviceMemory(total, free);
    }

    public override int GroupSize(int lanes) => lanes;

    public override unsafe void CopyToDevice(ReadOnlySpan<byte> source, nint destination)
    {
        // From memory that is not page-locked the driver returns when it has taken a copy: the source is free, the stream's order holds.
        fixed (byte* p = source)
            CudaException.ThrowIfFailed(Driver.MemcpyAsync(destination, (nint)p, source.Length, Stream));
    }

    public override unsafe void CopyToHost(nint source, Span<byte> destination)
    {
        fixed (byte* p = destination)
        {
            CudaException.ThrowIfFailed(Driver.MemcpyAsync((nint)p, source, destination.Length, Stream));
            Stream.Synchronize();
        }
    }

    public override void CopyOnDevice(nint source, nint destination, long byteLength) =>
        CudaException.ThrowIfFailed(Driver.MemcpyAsync(destination, source, (nint)byteLength, Stream));

    public override void WaitForKernels()
    {
        base.WaitForKernels();
        _compiler.Dispose(); // its contexts; it makes new ones if a kernel is asked for later
        _cache.Trim();
    }

    public override void Dispose()
    {
        base.Dispose();
        _compiler.Dispose();
    }

    protected override Task<Kernel> LoadKernelAsync(GpuKernel kernel) =>
        Task.Run(() => PtxKernels.Load(_accelerator, kernel, PtxKernels.Get(_compiler, _cache, kernel)));

    protected override StagingBuffer CreateStaging() => new PinnedStaging(_accelerator, (CudaStream)Stream);

    protected override bool IsOutOfMemory(Exception exception) => exception is CudaException { Error: nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY) };
}
