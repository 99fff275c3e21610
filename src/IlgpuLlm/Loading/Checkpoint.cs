using System.Collections.Concurrent;
using System.IO.Enumeration;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// The weights of a model folder: model.safetensors, or the shards of model.safetensors.index.json. Tensors are streamed from the mapped files into
/// the packed layout by all cores, so that beside the packed weights only file cache is used, which the operating system can take back.
/// </summary>
internal sealed class Checkpoint : IWeightSource
{
    // Large enough that a GPU's upload runs at full speed, small enough that all cores share one tensor and that a chunk stays in their caches.
    private const int ChunkBytes = 2 << 20;

    // Packed layouts interleave some rows: chunks of this many rows keep threads off each other's cache lines.
    private const int ChunkRowAlignment = 64;

    private const int MaxListedNames = 5;

    private readonly string _folder;
    private readonly CheckpointTensors _tensors;
    private readonly IProgress<LoadProgress>? _progress;
    private readonly ConcurrentDictionary<string, bool> _used = new(StringComparer.Ordinal);
    private readonly Lock _progressLock = new();
    private long _bytesDone;

    private Checkpoint(string folder, IProgress<LoadProgress>? progress)
    {
        _folder = folder;
        _tensors = CheckpointTensors.Open(folder);
        _progress = progress;
    }

    /// <summary>The bytes of all tensors.</summary>
    public long ByteLength => _tensors.ByteLength;

    /// <summary>Maps the files and checks their headers; reads no tensor.</summary>
    /// <param name="folder">A folder in Hugging Face layout.</param>
    /// <param name="progress">Told after each chunk, in order, from any thread.</param>
    /// <exception cref="CheckpointException">There is no checkpoint, or a file is malformed.</exception>
    public static Checkpoint Open(string folder, IProgress<LoadProgress>? progress = null) => new(folder, progress);

    /// <inheritdoc/>
    public bool Contains(string name) => _tensors.Find(name) is not null;

    /// <inheritdoc/>
    public void LoadRows(string name, LinearWeight target, int firstRow, int rows)
    {
        var (file, tensor, type) = Use(name, rows, target.InFeatures);
        int rowBytes = checked(target.InFeatures * type.SizeInBytes());
        int chunkRows = Math.Max(1, ChunkBytes / rowBytes);
        if (chunkRows > ChunkRowAlignment)
            chunkRows -= chunkRows % ChunkRowAlignment;
        Parallel.For(0, (rows + chunkRows - 1) / chunkRows, chunk =>
        {
            int first = chunk * chunkRows;
            int count = Math.Min(chunkRows, rows - first);
            var source = file.Read(tensor, (long)first * rowBytes, count * rowBytes);
            MappedMemory.WillRead(source);
            target.LoadRows(firstRow + first, count, type, source);
            Report(name, source.Length);
        });
    }

    /// <inheritdoc/>
    public void LoadBias(string name, LinearWeight target, int first, int count) => target.LoadBias(first, ReadVector(name, count));

    /// <inheritdoc/>
    public void LoadVector(string name, Backend backend, DeviceBuffer target) =>
        backend.Upload(ReadVector(name, checked((int)target.Length)), target);

    /// <inheritdoc/>
    public void VerifyAllUsed(IEnumerable<string> ignorable)
    {
        string[] patterns = [.. ignorable];
        var left = _tensors.Names
            .Where(name => !_used.ContainsKey(name))
            .Where(name => !patterns.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false)))
            .Order(StringComparer.Ordinal)
            .ToList();
        if (left.Count > 0)
        {
            string names = string.Join(", ", left.Take(MaxListedNames).Select(MessageText.Quote));
            string rest = left.Count > MaxListedNames ? $" and {left.Count - MaxListedNames} more" : "";
            throw new CheckpointException(_folder, $"tensors that are not part of the model: {names}{rest}; config.json must describe all of them");
        }
        _progress?.Report(new LoadProgress(ByteLength, ByteLength, ""));
    }

    /// <inheritdoc/>
    public void Dispose() => _tensors.Dispose();

    private float[] ReadVector(string name, int length)
    {
        var (file, tensor, type) = Use(name, length);
        var values = new float[length];
        ElementConversion.ToFloats(file.Read(tensor, 0, checked((int)tensor.ByteLength)), type, values);
        Report(name, tensor.ByteLength);
        return values;
    }

    private (SafetensorsFile File, TensorInfo Tensor, ElementType Type) Use(string name, params long[] shape)
    {
        string what = $"tensor {MessageText.Quote(name)}";
        if (_tensors.Find(name) is not var (file, tensor))
            throw new CheckpointException(_folder, $"{what}: missing, must have shape {TensorInfo.FormatShape(shape)}");
        if (!tensor.Shape.SequenceEqual(shape))
            throw new CheckpointException(file.Path, $"{what}: shape: {tensor.ShapeText}, must be {TensorInfo.FormatShape(shape)} by config.json");
        if (tensor.Type.AsWeight() is not { } type)
            throw new CheckpointException(file.Path, $"{what}: dtype: {tensor.Type.Name}, must be F32, F16 or BF16");
        _used[name] = true;
        return (file, tensor, type);
    }

    private void Report(string name, long bytes)
    {
        if (_progress is null)
            return;
        lock (_progressLock)
        {
            // A tensor may be read twice (tied embeddings): it does not count beyond the total.
            _bytesDone = Math.Min(_bytesDone + bytes, ByteLength);
            _progress.Report(new LoadProgress(_bytesDone, ByteLength, name));
        }
    }
}
