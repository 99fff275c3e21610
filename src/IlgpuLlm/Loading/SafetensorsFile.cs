using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;

namespace IlgpuLlm.Loading;

/// <summary>
/// A safetensors file (https://github.com/huggingface/safetensors#format), mapped into memory: reading a tensor copies nothing, and its pages are the
/// operating system's file cache, which it can drop at any time. Safe to read from several threads.
/// </summary>
/// <remarks>A file must not be shortened while it is open: reading pages that are gone ends the process, as with every mapped file.</remarks>
internal sealed unsafe class SafetensorsFile : IDisposable
{
    /// <summary>The largest header, as in the reference implementation.</summary>
    public const int MaxHeaderLength = 100_000_000;

    private const int PrefixLength = sizeof(ulong);

    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _data;
    private bool _disposed;

    private SafetensorsFile(string path, MemoryMappedFile mapping, long fileLength)
    {
        Path = path;
        _mapping = mapping;
        _view = mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* file = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref file);
        try
        {
            ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(file, PrefixLength));
            if (headerLength > (ulong)Math.Min(MaxHeaderLength, fileLength - PrefixLength))
            {
                string limit = $"must be at most {MaxHeaderLength} and within the file of {fileLength} bytes";
                throw new CheckpointException(path, $"header length: {headerLength}, {limit}");
            }
            long dataLength = fileLength - PrefixLength - (long)headerLength;
            Tensors = SafetensorsHeader.Parse(path, new ReadOnlySpan<byte>(file + PrefixLength, (int)headerLength), dataLength);
            _data = file + PrefixLength + headerLength;
        }
        catch
        {
            Unmap();
            throw;
        }
    }

    /// <summary>The path.</summary>
    public string Path { get; }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Maps a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or is malformed.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            long length = RandomAccess.GetLength(file);
            if (length < PrefixLength)
                throw new CheckpointException(path, $"the file has {length} bytes, must have at least the {PrefixLength} of the header length");
            var mapping = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            return new SafetensorsFile(path, mapping, length);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Bytes of a tensor of this file, in place; valid until the file is disposed.</summary>
    /// <param name="tensor">One of <see cref="Tensors"/>.</param>
    /// <param name="offset">The first byte, counted from the tensor's begin.</param>
    /// <param name="length">The number of bytes.</param>
    public ReadOnlySpan<byte> Read(TensorInfo tensor, long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (offset < 0 || length < 0 || offset > tensor.ByteLength - length)
        {
            string problem = $"[{offset}, {offset + length}) lies outside the {tensor.ByteLength} bytes of {tensor.Name}";
            throw new ArgumentOutOfRangeException(nameof(offset), problem);
        }
        return new ReadOnlySpan<byte>(_data + tensor.Begin + offset, length);
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Unmap();
    }

    private void Unmap()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _mapping.Dispose();
    }
}
