namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A buffer in the machine's own memory.</summary>
public sealed unsafe class CpuBuffer : DeviceBuffer
{
    private readonly NativeBlock _block;
    private readonly long _byteOffset;
    private readonly bool _ownsBlock;

    internal CpuBuffer(ElementType type, long length)
        : this(type, length, new NativeBlock(checked(length * type.SizeInBytes())), byteOffset: 0, ownsBlock: true)
    {
    }

    private CpuBuffer(ElementType type, long length, NativeBlock block, long byteOffset, bool ownsBlock)
        : base(type, length)
    {
        _block = block;
        _byteOffset = byteOffset;
        _ownsBlock = ownsBlock;
    }

    internal byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_block.Pointer is null, this);
            return _block.Pointer + _byteOffset;
        }
    }

    internal float* Floats => (float*)Pointer;

    internal int* Ints => (int*)Pointer;

    internal Half* Halves => (Half*)Pointer;

    /// <summary>The elements themselves, not a copy; valid until the buffer (or the one that it is a slice of) is disposed.</summary>
    /// <typeparam name="T">float for F32, int for I32, <see cref="Half"/> for F16, byte for U8.</typeparam>
    /// <exception cref="InvalidOperationException"><typeparamref name="T"/> is not the type of the elements.</exception>
    public Span<T> AsSpan<T>()
        where T : unmanaged
    {
        bool matches = Type switch
        {
            ElementType.F32 => typeof(T) == typeof(float),
            ElementType.I32 => typeof(T) == typeof(int),
            ElementType.F16 => typeof(T) == typeof(Half),
            ElementType.U8 => typeof(T) == typeof(byte),
            _ => false,
        };
        if (!matches)
            throw new InvalidOperationException($"a buffer of {Type} cannot be seen as {typeof(T).Name}");
        return new Span<T>(Pointer, checked((int)Length));
    }

    /// <inheritdoc/>
    protected override DeviceBuffer SliceCore(long offset, long length)
        => new CpuBuffer(Type, length, _block, _byteOffset + offset * Type.SizeInBytes(), ownsBlock: false);

    /// <inheritdoc/>
    public override void Dispose()
    {
        if (_ownsBlock)
            _block.Dispose();
    }

    /// <summary>The buffer as this backend's own.</summary>
    internal static CpuBuffer From(DeviceBuffer buffer)
        => buffer as CpuBuffer ?? throw new ArgumentException($"the buffer belongs to another backend: {buffer.GetType().Name}", nameof(buffer));
}
