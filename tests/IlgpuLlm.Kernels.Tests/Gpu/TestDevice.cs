using System.Collections.Concurrent;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// The accelerator that kernel tests run on: <c>ILGPULLM_TEST_DEVICE</c> = <c>cuda</c>, <c>cuda:N</c>, <c>ilgpu-cpu</c> or <c>auto</c> (the default:
/// CUDA where there is a device, otherwise ILGPU's CPU accelerator).
/// </summary>
[TestClass]
public sealed class TestDevice
{
    private static readonly Lazy<int?> CudaIndex = new(Choose);
    private static readonly ConcurrentBag<GpuBackend> Idle = [], IdleWithTf32 = [];

    /// <summary>Whether tests run on CUDA.</summary>
    internal static bool IsCuda => CudaIndex.Value is not null;

    /// <summary>Opens the chosen device.</summary>
    internal static GpuBackend Create(bool allowTf32 = false, bool batchInvariant = false) =>
        CudaIndex.Value is { } index ? GpuBackend.CreateCuda(index, allowTf32, batchInvariant) : GpuBackend.CreateIlgpuCpu(batchInvariant);

    /// <summary>
    /// A backend on the chosen device for one test at a time. Another test had it before, as opening one takes longer than most tests: leave no setting of it
    /// changed.
    /// </summary>
    internal static Lease Rent(bool allowTf32 = false)
    {
        ConcurrentBag<GpuBackend> idle = allowTf32 ? IdleWithTf32 : Idle;
        return new Lease(idle.TryTake(out var backend) ? backend : Create(allowTf32), idle);
    }

    /// <summary>The same; the test is reported as skipped where there is no CUDA device, or no Hopper where one is needed.</summary>
    internal static Lease RentCuda(bool allowTf32 = false, bool needsHopper = false)
    {
        if (!IsCuda)
            Assert.Inconclusive("skipped: needs a CUDA device");
        Lease lease = Rent(allowTf32);
        if (!needsHopper || lease.Device is CudaGpuDevice { IsHopper: true })
            return lease;
        lease.Dispose();
        Assert.Inconclusive("skipped: needs a CUDA device of compute capability 9.0");
        return lease;
    }

    /// <summary>The CPU accelerator, on which kernels run with their instructions emulated. Skips the test where the real ones are tested.</summary>
    internal static GpuBackend CreateEmulated(int lanes)
    {
        if (IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
        return GpuBackend.CreateIlgpuCpu(lanes);
    }

    /// <summary>The device of a backend.</summary>
    internal static GpuDevice DeviceOf(GpuBackend backend)
    {
        using DeviceBuffer buffer = backend.Allocate(ElementType.F32, 1);
        return ((GpuBuffer)buffer).Device;
    }

    /// <summary>Closes what was rented.</summary>
    [AssemblyCleanup]
    public static void CloseIdle()
    {
        foreach (GpuBackend backend in Idle.Concat(IdleWithTf32))
            backend.Dispose();
    }

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

    /// <summary>A rented backend; goes back when disposed.</summary>
    internal sealed class Lease(GpuBackend backend, ConcurrentBag<GpuBackend> idle) : IDisposable
    {
        public GpuBackend Backend => backend;

        public GpuDevice Device { get; } = DeviceOf(backend);

        public void Dispose()
        {
            try
            {
                Device.Stream.Synchronize();
            }
            catch (Exception)
            {
                return; // a kernel failed: all that follows on this device would fail too
            }
            idle.Add(backend);
        }
    }
}
