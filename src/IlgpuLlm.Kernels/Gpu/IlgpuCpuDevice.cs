using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using IlgpuLlm.Kernels.Cpu;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// ILGPU's CPU accelerator, which runs the kernels' own IL: for tests of their meaning. A lane is an operating-system thread, so groups have one lane;
/// more of them only to test what lanes do together.
/// </summary>
internal sealed class IlgpuCpuDevice : GpuDevice
{
    private const int WarpSize = 32;

    private readonly int _lanes;

    private IlgpuCpuDevice(Context context, Accelerator accelerator, int lanes)
        : base(context, accelerator) => _lanes = lanes;

    public override string Name => "ilgpu-cpu";

    public override string Description => $"ILGPU CPU accelerator ({Accelerator.NumMultiprocessors} threads)";

    public static IlgpuCpuDevice Create(int lanes)
    {
        // A warp has at least two lanes in ILGPU; with one lane a group the second thread sleeps.
        var device = lanes > WarpSize
            ? new CPUDevice(WarpSize, lanes / WarpSize, 1)
            : new CPUDevice(Math.Max(lanes, 2), 1, lanes == 1 ? Environment.ProcessorCount : 1);
        var context = Context.Create(builder => builder.CPU(device));
        return new IlgpuCpuDevice(context, device.CreateAccelerator(context), lanes);
    }

    public override DeviceMemory QueryMemory() => CpuMemory.Query();

    public override int GroupSize(int lanes) => Math.Min(lanes, _lanes);

    public override unsafe void CopyToDevice(ReadOnlySpan<byte> source, nint destination) =>
        source.CopyTo(new Span<byte>((void*)destination, source.Length)); // launches return when they have run: nothing is queued

    public override unsafe void CopyToHost(nint source, Span<byte> destination) =>
        new ReadOnlySpan<byte>((void*)source, destination.Length).CopyTo(destination);

    public override unsafe void CopyOnDevice(nint source, nint destination, long byteLength) =>
        Buffer.MemoryCopy((void*)source, (void*)destination, byteLength, byteLength);

    protected override Task<Kernel> LoadKernelAsync(GpuKernel kernel) => kernel.IsCudaOnly && _lanes < kernel.GroupSize
        ? throw new NotSupportedException($"kernel {kernel.Name} consists of PTX instructions: they are emulated for {kernel.GroupSize} lanes only")
        : Task.FromResult(Accelerator.LoadKernel(kernel.Body, KernelSpecialization.Empty));

    protected override StagingBuffer CreateStaging() => new HostStaging(this);

    protected override bool IsOutOfMemory(Exception exception) => exception is OutOfMemoryException;

    private sealed class HostStaging(IlgpuCpuDevice device) : StagingBuffer
    {
        private readonly byte[] _bytes = new byte[HalfByteLength]; // copies end before they return: one half does

        public override Span<byte> NextHalf() => _bytes;

        public override void CopyToDevice(nint destination, int runLength, int numRuns = 1, int stride = 0)
        {
            for (int run = 0; run < numRuns; run++)
                device.CopyToDevice(_bytes.AsSpan(run * runLength, runLength), destination + run * stride);
        }

        public override void Publish()
        {
        }

        public override void Wait()
        {
        }

        public override void Dispose()
        {
        }
    }
}
