namespace IlgpuLlm.Kernels;

/// <summary>
/// A contiguous run of elements in a backend's memory. Buffers are allocated once, at start-up, and handed out as slices; a step allocates none.
/// Only the backend that made a buffer may use it.
/// </summary>
public abstract class DeviceBuffer : IDisposable
{
    /// <summary>Describes a buffer of <paramref name="length"/> elements.</summary>
    protected DeviceBuffer(ElementType type, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Type = type;
        Length = length;
    }

    /// <summary>The type of the elements.</summary>
    public ElementType Type { get; }

    /// <summary>The number of elements.</summary>
    public long Length { get; }

    /// <summary>The size in bytes.</summary>
    public long ByteLength => Length * Type.SizeInBytes();

    /// <summary>A view of <paramref name="length"/> elements from <paramref name="offset"/> on. Disposing a view does nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range lies outside this buffer.</exception>
    public DeviceBuffer Slice(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"slice [{offset}, {offset + length}) lies outside a buffer of {Length} elements");
        return SliceCore(offset, length);
    }

    /// <summary>Makes the view; the range was checked.</summary>
    protected abstract DeviceBuffer SliceCore(long offset, long length);

    /// <summary>Frees the memory, if this buffer owns it.</summary>
    public abstract void Dispose();
}
