using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace IlgpuLlm.Loading;

/// <summary>A tensor that is to be written.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">The type of its elements, of whole bytes.</param>
/// <param name="Shape">Its shape.</param>
internal sealed record PlannedTensor(string Name, TensorType Type, params long[] Shape)
{
    /// <summary>Its size.</summary>
    public long ByteLength => Shape.Aggregate((long)Type.Bits / 8, (product, dimension) => checked(product * dimension));
}

/// <summary>
/// Writes the safetensors files of a model folder: model.safetensors, or shards and their index where that would be too large. Headers come first in these
/// files, so all tensors are planned before the first one is written; they are then streamed in that order.
/// </summary>
internal sealed class CheckpointWriter : IDisposable
{
    /// <summary>The largest file, unless one tensor takes more: Transformers' default.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly string _folder;
    private readonly List<List<PlannedTensor>> _shards;
    private readonly List<string> _files = [];
    private FileStream? _stream;
    private int _shard = -1, _tensor;
    private long _end; // of the tensor that is being written, in the file

    /// <summary>Plans the files; writes nothing.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="tensors">In the order in which they will be written.</param>
    /// <param name="shardBytes">The largest file, unless one tensor takes more.</param>
    public CheckpointWriter(string folder, IEnumerable<PlannedTensor> tensors, long shardBytes = DefaultShardBytes)
    {
        _folder = folder;
        _shards = Split(tensors, shardBytes);
        ByteLength = _shards.Sum(shard => shard.Sum(tensor => tensor.ByteLength));
    }

    /// <summary>The bytes of all tensors.</summary>
    public long ByteLength { get; }

    /// <summary>The safetensors files that it will be.</summary>
    public int NumShards => _shards.Count;

    /// <summary>The paths of the files that were begun.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <summary>Where the bytes of the next tensor go, all of them and no more.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="InvalidOperationException">Another one is next, or the one before is not complete.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public Stream Begin(string name)
    {
        CheckComplete();
        if (_shard < 0 || _tensor == _shards[_shard].Count)
            OpenNext();
        var tensor = _shards[_shard][_tensor++];
        if (tensor.Name != name)
            throw new InvalidOperationException($"{tensor.Name} is next, not {name}");
        _end += tensor.ByteLength;
        return _stream!;
    }

    /// <summary>Closes the last file and writes the index of shards, if there are several.</summary>
    /// <exception cref="InvalidOperationException">A tensor is missing.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Finish()
    {
        CheckComplete();
        if (_shard != _shards.Count - 1 || _tensor != _shards[_shard].Count)
            throw new InvalidOperationException("not all tensors were written");
        _stream!.Dispose();
        if (_shards.Count == 1)
            return;
        var map = new JsonObject();
        for (int i = 0; i < _shards.Count; i++)
        {
            foreach (var tensor in _shards[i])
                map[tensor.Name] = ShardName(i);
        }
        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = ByteLength }, ["weight_map"] = map };
        _files.Add(Path.Combine(_folder, CheckpointIndex.FileName));
        File.WriteAllText(_files[^1], index.ToJsonString(Indented) + "\n");
    }

    public void Dispose() => _stream?.Dispose();

    private static List<List<PlannedTensor>> Split(IEnumerable<PlannedTensor> tensors, long shardBytes)
    {
        List<List<PlannedTensor>> shards = [[]];
        long used = 0;
        foreach (var tensor in tensors)
        {
            if (used > 0 && used + tensor.ByteLength > shardBytes)
            {
                shards.Add([]);
                used = 0;
            }
            shards[^1].Add(tensor);
            used += tensor.ByteLength;
        }
        return shards;
    }

    private string ShardName(int index) => _shards.Count == 1 ? CheckpointTensors.SingleFileName : $"model-{index + 1:D5}-of-{_shards.Count:D5}.safetensors";

    private void OpenNext()
    {
        _stream?.Dispose();
        _tensor = 0;
        _files.Add(Path.Combine(_folder, ShardName(++_shard)));
        _stream = File.Create(_files[^1]);
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long begin = 0;
        foreach (var tensor in _shards[_shard])
        {
            long end = begin + tensor.ByteLength;
            header[tensor.Name] = new JsonObject
            {
                ["dtype"] = tensor.Type.Name,
                ["shape"] = new JsonArray([.. tensor.Shape.Select(dimension => JsonValue.Create(dimension))]),
                ["data_offsets"] = new JsonArray(begin, end),
            };
            begin = end;
        }
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        int padding = -json.Length & 7; // Spaces align the data to 8 bytes.
        Span<byte> prefix = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length + padding);
        _stream.Write(prefix);
        _stream.Write(json);
        _stream.Write("        "u8[..padding]);
        _end = _stream.Position;
    }

    private void CheckComplete()
    {
        if (_stream is not null && _stream.Position != _end)
            throw new InvalidOperationException($"{_shards[_shard][_tensor - 1].Name} ends at byte {_stream.Position} of the file, planned was {_end}");
    }
}
