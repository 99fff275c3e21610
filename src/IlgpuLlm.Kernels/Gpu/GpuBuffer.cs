using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A run of elements in an accelerator's memory, or a view into one.</summary>
internal sealed class GpuBuffer : DeviceBuffer
{
    private readonly ArrayView<byte> _bytes;
    private readonly MemoryBuffer? _owned;

    private GpuBuffer(GpuDevice device, ElementType type, long length, ArrayView<byte> bytes, MemoryBuffer? owned)
        : base(type, length)
    {
        Device = device;
        _bytes = bytes;
        _owned = owned;
    }

    /// <summary>The device that the memory belongs to.</summary>
    public GpuDevice Device { get; }

    /// <summary>Where the first element is.</summary>
    public nint Address => _bytes.LoadEffectiveAddressAsPtr();

    /// <summary>Allocates.</summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public static GpuBuffer Allocate(GpuDevice device, ElementType type, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        var owned = device.AllocateBytes(length * type.SizeInBytes());
        return new GpuBuffer(device, type, length, owned.View.BaseView, owned);
    }

    /// <summary>The elements, for a kernel.</summary>
    public ArrayView<T> View<T>()
        where T : unmanaged => _bytes.Cast<T>();

    /// <inheritdoc/>
    public override void Dispose() => _owned?.Dispose();

    /// <inheritdoc/>
    protected override DeviceBuffer SliceCore(long offset, long length)
    {
        long size = Type.SizeInBytes();
        return new GpuBuffer(Device, Type, length, _bytes.SubView(offset * size, length * size), owned: null);
    }
}
