namespace IlgpuLlm.Loading;

/// <summary>Reads model.safetensors.index.json, which says in which file (shard) each tensor of a large checkpoint lies.</summary>
internal static class CheckpointIndex
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "model.safetensors.index.json";

    // The index of a 670 B parameter checkpoint takes 9 MB.
    private const int MaxFileBytes = 64 << 20;

    /// <summary>Reads the file: tensor names to paths of shards, all of them existing files of the index's own folder.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or is malformed, or a shard is missing or lies elsewhere.</exception>
    public static Dictionary<string, string> Read(string file)
    {
        var json = JsonFields.ReadFile(file, MaxFileBytes);
        var map = json.Object("weight_map") ?? throw json.Error("weight_map", "must be an object of tensor names and file names");
        string folder = Path.GetDirectoryName(file)!;
        var paths = new Dictionary<string, string>(StringComparer.Ordinal);
        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string tensor in map.Names)
        {
            string shard = map.String(tensor) ?? throw Error(file, tensor, "null", "must name a file");
            if (!shards.TryGetValue(shard, out string? path))
            {
                path = Resolve(file, folder, tensor, shard);
                shards.Add(shard, path);
            }
            paths.Add(tensor, path);
        }
        return paths.Count > 0 ? paths : throw json.Error("weight_map", "must name at least one tensor");
    }

    private static string Resolve(string file, string folder, string tensor, string shard)
    {
        // Only a plain name stays inside the folder on every operating system: no separators, no drive, no "..".
        bool isPlain = shard.EndsWith(".safetensors", StringComparison.Ordinal) && !shard.Any(c => c is '/' or '\\' or ':' || char.IsControl(c));
        if (!isPlain)
            throw Error(file, tensor, MessageText.Quote(shard), "must be the plain name of a .safetensors file in the same folder");
        string path = Path.Combine(folder, shard);
        return File.Exists(path) ? path : throw Error(file, tensor, MessageText.Quote(shard), "which is not in the folder");
    }

    private static CheckpointException Error(string file, string tensor, string value, string limit) =>
        new(file, $"weight_map: {MessageText.Quote(tensor)}: {value}, {limit}");
}
