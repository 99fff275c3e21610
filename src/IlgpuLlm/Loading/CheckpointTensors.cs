namespace IlgpuLlm.Loading;

/// <summary>The mapped safetensors files of a folder and where each tensor lies in them.</summary>
internal sealed class CheckpointTensors : IDisposable
{
    private const string SingleFileName = "model.safetensors";

    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (SafetensorsFile File, TensorInfo Tensor)> _tensors = new(StringComparer.Ordinal);

    private CheckpointTensors()
    {
    }

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
        var result = new CheckpointTensors();
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

    /// <summary>Finds a tensor and the file that holds it; null where there is none.</summary>
    public (SafetensorsFile File, TensorInfo Tensor)? Find(string name) => _tensors.TryGetValue(name, out var found) ? found : null;

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
