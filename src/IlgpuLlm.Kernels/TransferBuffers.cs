namespace IlgpuLlm.Kernels;

/// <summary>Host integers on their way to the device; page-locked where that makes copies faster. Used by one thread.</summary>
public abstract class UploadBuffer : IDisposable
{
    /// <summary>The host memory. What was sent may be overwritten once an operation queued after the copy is known to have ended.</summary>
    public abstract Span<int> Values { get; }

    /// <summary>Queues a copy of some of the integers to the beginning of a buffer.</summary>
    public abstract void Send(int offset, int count, DeviceBuffer destination);

    /// <summary>Frees the memory; no copy may be under way.</summary>
    public abstract void Dispose();
}

/// <summary>Device integers on their way to the host. Used by one thread.</summary>
public abstract class DownloadBuffer : IDisposable
{
    /// <summary>Queues a copy of a buffer's first integers, behind the operations before it. None at all: only their end is waited for.</summary>
    public abstract void Start(DeviceBuffer source, int count);

    /// <summary>Waits for the copy and nothing behind it. The integers are valid until the next <see cref="Start"/>.</summary>
    public abstract ReadOnlySpan<int> Wait();

    /// <summary>Frees the memory; no copy may be under way.</summary>
    public abstract void Dispose();
}

/// <summary>For devices whose copies end before they return.</summary>
internal sealed class ImmediateUpload(Backend backend, int length) : UploadBuffer
{
    private readonly int[] _values = new int[length];

    public override Span<int> Values => _values;

    public override void Send(int offset, int count, DeviceBuffer destination) => backend.Upload(_values.AsSpan(offset, count), destination);

    public override void Dispose()
    {
    }
}

/// <summary>For devices whose copies end before they return.</summary>
internal sealed class ImmediateDownload(Backend backend, int length) : DownloadBuffer
{
    private readonly int[] _values = new int[length];
    private int _count;

    public override void Start(DeviceBuffer source, int count)
    {
        _count = count;
        if (count > 0)
            backend.Download(source, _values.AsSpan(0, count));
    }

    public override ReadOnlySpan<int> Wait() => _values.AsSpan(0, _count);

    public override void Dispose()
    {
    }
}
