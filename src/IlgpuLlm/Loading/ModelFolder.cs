namespace IlgpuLlm.Loading;

/// <summary>A folder in Hugging Face layout that is there and has a config.json.</summary>
internal sealed record ModelFolder
{
    private ModelFolder(string fullPath) => FullPath = fullPath;

    /// <summary>The folder.</summary>
    public string FullPath { get; }

    /// <summary>The path of config.json.</summary>
    public string ConfigFile => FileOf("config.json");

    /// <summary>The path of generation_config.json, which need not exist.</summary>
    public string GenerationConfigFile => FileOf("generation_config.json");

    /// <summary>The path of a file of the folder, which need not exist.</summary>
    public string FileOf(string name) => Path.Combine(FullPath, name);

    /// <summary>Checks what a user gave as a model.</summary>
    /// <exception cref="CheckpointException">It is not there, is a file, or has no config.json; the message says what to give instead.</exception>
    public static ModelFolder Open(string path)
    {
        if (string.IsNullOrWhiteSpace(path))
            throw new CheckpointException("model", "the path is empty, must be a folder with config.json");
        if (File.Exists(path))
            throw new CheckpointException(path, $"is a file, must be a folder with config.json{Advice(path)}");
        if (!Directory.Exists(path))
            throw new CheckpointException(path, "no such folder; models are read from disk and not downloaded");
        var folder = new ModelFolder(Path.GetFullPath(path));
        if (!File.Exists(folder.ConfigFile))
            throw new CheckpointException(path, "has no config.json, must be a model folder in Hugging Face layout");
        return folder;
    }

    private static string Advice(string file)
    {
        if (file.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            return " and safetensors files: GGUF is not supported";
        string? parent = Path.GetDirectoryName(Path.GetFullPath(file));
        return parent is not null && File.Exists(Path.Combine(parent, "config.json")) ? $"; did you mean {parent}?" : "";
    }
}
