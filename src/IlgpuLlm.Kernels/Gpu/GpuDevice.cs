using System.Collections.Concurrent;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>An ILGPU accelerator with one stream: memory, copies and kernels. What CUDA and ILGPU's CPU accelerator do differently is below.</summary>
internal abstract class GpuDevice : IDisposable
{
    private readonly Context _context;
    private readonly AcceleratorStream _stream;
    private readonly ConcurrentDictionary<GpuKernel, Task<Kernel>> _kernels = []; // ILGPU's own cache holds them weakly
    private readonly ConcurrentBag<StagingBuffer> _staging = [];
    private long _numAllocations;

    protected GpuDevice(Context context, Accelerator accelerator)
    {
        _context = context;
        Accelerator = accelerator;
        _stream = accelerator.CreateStream();
    }

    /// <summary>How a user writes this device.</summary>
    public abstract string Name { get; }

    /// <summary>The device's own name.</summary>
    public abstract string Description { get; }

    /// <summary>The stream that all operations go through, in order, after binding the calling thread to the accelerator.</summary>
    public AcceleratorStream Stream
    {
        get
        {
            Accelerator.Bind(); // a comparison with a thread-static, when it is bound already
            return _stream;
        }
    }

    /// <summary>The calls of <see cref="AllocateBytes"/> so far.</summary>
    public long NumAllocations => Interlocked.Read(ref _numAllocations);

    protected Accelerator Accelerator { get; }

    /// <summary>The device's memory.</summary>
    public abstract DeviceMemory QueryMemory();

    /// <summary>The lanes that a group has here of those that a kernel has on a GPU.</summary>
    public abstract int GroupSize(int lanes);

    /// <summary>Queues a copy to device memory. The source may be used again at once.</summary>
    public abstract void CopyToDevice(ReadOnlySpan<byte> source, nint destination);

    /// <summary>Waits for the operations before it and copies from device memory.</summary>
    public abstract void CopyToHost(nint source, Span<byte> destination);

    /// <summary>Queues a copy from device memory to device memory.</summary>
    public abstract void CopyOnDevice(nint source, nint destination, long byteLength);

    /// <summary>Allocates a buffer of bytes, at least one.</summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public MemoryBuffer1D<byte, Stride1D.Dense> AllocateBytes(long length)
    {
        Accelerator.Bind();
        Interlocked.Increment(ref _numAllocations);
        long free = QueryMemory().FreeBytes;
        if (length > free)
            throw new DeviceOutOfMemoryException(Name, length, free);
        try
        {
            return Accelerator.Allocate1D<byte>(Math.Max(length, 1));
        }
        catch (Exception e) when (IsOutOfMemory(e))
        {
            throw new DeviceOutOfMemoryException(Name, length, QueryMemory().FreeBytes);
        }
    }

    /// <summary>
    /// Begins to compile and load a kernel; its first launch waits for it. The delegate's parameters are the stream, the launch configuration and those of
    /// the kernel.
    /// </summary>
    public TLauncher Load<TLauncher>(GpuKernel kernel)
        where TLauncher : Delegate => DeferredLauncher<TLauncher>.Create(BeginLoading(kernel));

    /// <summary>Begins to compile and load a kernel whose launcher is made later. Several are so made side by side.</summary>
    public Task<Kernel> BeginLoading(GpuKernel kernel)
    {
        if (!KernelCatalog.All.Contains(kernel))
            throw new ArgumentException($"kernel {kernel.Name} is not in the catalog", nameof(kernel));
        return _kernels.GetOrAdd(kernel, LoadKernelAsync);
    }

    /// <summary>Waits until every kernel is loaded that was asked for.</summary>
    public virtual void WaitForKernels() => Task.WhenAll(_kernels.Values).GetAwaiter().GetResult();

    /// <summary>A free staging buffer; several threads may load weights at a time, each with one of its own. Give it back after use.</summary>
    public StagingBuffer RentStaging()
    {
        Accelerator.Bind();
        return _staging.TryTake(out var buffer) ? buffer : CreateStaging();
    }

    /// <summary>Gives a staging buffer back.</summary>
    public void ReturnStaging(StagingBuffer buffer) => _staging.Add(buffer);

    /// <summary>The buffer as one of this device.</summary>
    /// <exception cref="ArgumentException">It belongs to another backend.</exception>
    public GpuBuffer Own(DeviceBuffer buffer) =>
        buffer is GpuBuffer own && own.Device == this ? own : throw new ArgumentException($"the buffer does not belong to {Name}", nameof(buffer));

    /// <summary>The checks that both attention operations make.</summary>
    public static void CheckAttention(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch)
    {
        ShapeChecks.Count(batch.NumTokens, nameof(batch.NumTokens));
        ShapeChecks.Attention(shape);
        ShapeChecks.Cache(cache, shape);
        ShapeChecks.Activations(qkv, batch.NumTokens, shape.QkvWidth, nameof(qkv));
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        // Kernels that nobody waited for are still being loaded, or failed.
        Task.WhenAll(_kernels.Values).ContinueWith(static _ => { }, TaskScheduler.Default).Wait();
        Accelerator.Bind();
        while (_staging.TryTake(out var buffer))
            buffer.Dispose();
        foreach (var kernel in _kernels.Values.Where(kernel => kernel.IsCompletedSuccessfully))
            kernel.Result.Dispose();
        _stream.Dispose();
        Accelerator.Dispose();
        _context.Dispose();
    }

    /// <summary>Compiles and loads, at once or on another thread.</summary>
    protected abstract Task<Kernel> LoadKernelAsync(GpuKernel kernel);

    /// <summary>Makes a staging buffer.</summary>
    protected abstract StagingBuffer CreateStaging();

    /// <summary>Whether an exception of an allocation says that there is not enough memory.</summary>
    protected abstract bool IsOutOfMemory(Exception exception);
}
