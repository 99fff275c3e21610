using System.Collections.Concurrent;
using System.IO.Enumeration;

namespace IlgpuLlm.Loading;

/// <summary>The mapped safetensors files of a folder and where each tensor lies in them.</summary>
internal sealed class CheckpointTensors : IDisposable
{
    /// <summary>The file of a checkpoint that has no shards.</summary>
    public const string SingleFileName = "model.safetensors";

    private const int MaxListedNames = 5;

    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (SafetensorsFile File, TensorInfo Tensor)> _tensors = new(StringComparer.Ordinal);

    private readonly ConcurrentDictionary<string, bool> _used = new(StringComparer.Ordinal);
    private readonly string _folder;

    private CheckpointTensors(string folder) => _folder = folder;

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>The bytes of all tensors.</summary>
    public long ByteLength { get; private set; }

    /// <summary>Maps the files: model.safetensors, or else the shards that the index names.</summary>
    /// <exception cref="CheckpointException">Neither is there, or a file is malformed, or the index and the shards disagree.</exception>
    public static CheckpointTensors Open(string folder)
    {
        string single = Path.Combine(folder, SingleFileName);
        string index = Path.Combine(folder, CheckpointIndex.FileName);
        var result = new CheckpointTensors(folder);
        try
        {
            if (File.Exists(single))
                result.Add(single);
            else if (File.Exists(index))
                result.AddShards(index);
            else
                throw new CheckpointException(folder, $"has neither {SingleFileName} nor {CheckpointIndex.FileName}{FindOther(folder)}");
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor; null where there is none.</summary>
    public MappedTensor? Find(string name) => _tensors.TryGetValue(name, out var found) ? new MappedTensor(found.File, found.Tensor) : null;

    /// <summary>Finds a tensor, which counts as used from now on.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="isAllowed">Whether its type is one that <paramref name="types"/> says in words.</param>
    /// <param name="types">The types that it may have.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <exception cref="CheckpointException">It is missing or has another shape or type.</exception>
    public MappedTensor Use(string name, Func<TensorType, bool> isAllowed, string types, params long[] shape)
    {
        string what = $"tensor {MessageText.Quote(name)}";
        if (Find(name) is not var (file, tensor))
            throw new CheckpointException(_folder, $"{what}: missing, must have shape {TensorInfo.FormatShape(shape)}");
        if (!tensor.Shape.SequenceEqual(shape))
            throw new CheckpointException(file.Path, $"{what}: shape: {tensor.ShapeText}, must be {TensorInfo.FormatShape(shape)} by config.json");
        if (!isAllowed(tensor.Type))
            throw new CheckpointException(file.Path, $"{what}: dtype: {tensor.Type.Name}, must be {types}");
        _used[name] = true;
        return new MappedTensor(file, tensor);
    }

    /// <summary>Finds a tensor of floats, which counts as used from now on.</summary>
    /// <inheritdoc cref="Use" path="/param[@name='name']"/>
    /// <inheritdoc cref="Use" path="/param[@name='shape']"/>
    /// <inheritdoc cref="Use" path="/exception"/>
    public MappedTensor UseElements(string name, params long[] shape) => Use(name, type => type.AsWeight() is not null, "F32, F16 or BF16", shape);

    /// <summary>Checks that <see cref="Use"/> has found every tensor.</summary>
    /// <param name="ignorable">Names that may be left over; <c>*</c> stands for any text.</param>
    /// <exception cref="CheckpointException">There are others; the message lists the first of them.</exception>
    public void VerifyAllUsed(IEnumerable<string> ignorable)
    {
        string[] patterns = [.. ignorable];
        var left = _tensors.Keys
            .Where(name => !_used.ContainsKey(name) && !patterns.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false)))
            .Order(StringComparer.Ordinal)
            .ToList();
        if (left.Count > 0)
        {
            string names = string.Join(", ", left.Take(MaxListedNames).Select(MessageText.Quote));
            string rest = left.Count > MaxListedNames ? $" and {left.Count - MaxListedNames} more" : "";
            throw new CheckpointException(_folder, $"tensors that are not part of the model: {names}{rest}; config.json must describe all of them");
        }
    }

    /// <summary>Unmaps the files.</summary>
    public void Dispose()
    {
        foreach (var file in _files.Values)
            file.Dispose();
    }

    private void AddShards(string index)
    {
        var shardOf = CheckpointIndex.Read(index);
        foreach (string path in shardOf.Values.Distinct())
            Add(path);
        foreach (var (name, path) in shardOf)
        {
            if (_files[path].Tensors.ContainsKey(name))
                continue;
            string elsewhere = _tensors.TryGetValue(name, out var found) ? $"; {Path.GetFileName(found.File.Path)} does" : "";
            string shard = MessageText.Quote(Path.GetFileName(path));
            throw new CheckpointException(index, $"weight_map: {MessageText.Quote(name)}: {shard}, which does not hold this tensor{elsewhere}");
        }
    }

    private void Add(string path)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(path, file);
        foreach (var tensor in file.Tensors.Values)
        {
            if (!_tensors.TryAdd(tensor.Name, (file, tensor)))
            {
                string other = Path.GetFileName(_tensors[tensor.Name].File.Path);
                throw new CheckpointException(path, $"tensor {MessageText.Quote(tensor.Name)}: is also in {other}, must be in one file");
            }
            ByteLength += tensor.ByteLength;
        }
    }

    private static string FindOther(string folder)
    {
        if (!Directory.Exists(folder))
            return ": no such folder";
        string? other = Directory.EnumerateFiles(folder)
            .Select(Path.GetFileName)
            .Where(name => Path.GetExtension(name) is ".safetensors" or ".bin" or ".gguf" or ".pt" or ".pth")
            .Order(StringComparer.Ordinal)
            .FirstOrDefault();
        return other is null ? "" : $"; {other} is there, but other names and formats are not supported";
    }
}
