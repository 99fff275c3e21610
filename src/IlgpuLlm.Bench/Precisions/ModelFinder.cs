using IlgpuLlm.DemoModel;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>Finds the checkpoints of a model, in the folders where the seed's benchmark keeps them.</summary>
internal static class ModelFinder
{
    // The folder of floats, and the one of 4 bits.
    private static readonly Dictionary<string, (string Floats, string Int4)> SeedFolders = new()
    {
        ["llama"] = ("llama-2-7b-chat-hf", "llama-2-7b-chat-autoawq"),
        ["mistral"] = ("mistral-7b-v0.1-instruct-hf", "mistral-7b-v0.1-instruct-autoawq"),
    };

    /// <summary>Finds a model.</summary>
    /// <param name="name"><c>llama</c>, <c>mistral</c>, <c>demo</c>, or a model's folder.</param>
    /// <param name="modelsFolder">Where the folders of <c>llama</c> and <c>mistral</c> lie.</param>
    /// <param name="isDummy">Whether the weights are random: of <c>llama</c> and <c>mistral</c> nothing is read at all, of a folder its config.json.</param>
    /// <param name="precisions">Those that are wanted.</param>
    /// <param name="options">The device and the limits.</param>
    /// <exception cref="BenchException">There is no such model; the message names the folders that were looked for.</exception>
    /// <exception cref="CheckpointException">The folder's config.json cannot be used.</exception>
    public static BenchModel Find(string name, string modelsFolder, bool isDummy, IReadOnlyList<string> precisions, EngineOptions options)
    {
        if (isDummy)
            options = options with { LoadFormat = "dummy" };
        if (SeedFolders.TryGetValue(name, out var folders))
        {
            return isDummy ? Dummy(name, precisions, options)
                : Seed(name, Path.GetFullPath(Path.Combine(modelsFolder, folders.Floats)), Path.GetFullPath(Path.Combine(modelsFolder, folders.Int4)), precisions, options);
        }
        return name == "demo" ? Demo(precisions, options) : Folder(name, precisions, options);
    }

    private static BenchModel Dummy(string name, IReadOnlyList<string> precisions, EngineOptions options)
    {
        var dummy = DummyModel.Create(name);
        return new BenchModel
        {
            Name = name,
            Targets = [.. precisions.Select(p => new PrecisionTarget(p, Precision.Apply(p, options, dummy.Folder, isQuantized: false), null))],
            SystemIsUserTurn = name == "mistral",
            Dummy = dummy,
        };
    }

    private static BenchModel Seed(string name, string floats, string int4, IReadOnlyList<string> precisions, EngineOptions options)
    {
        string[] folders = [.. precisions.Select(p => p == Precision.Int4 ? int4 : floats).Distinct()];
        if (!folders.Any(Directory.Exists))
        {
            throw new BenchException(string.Join(", ", folders), $"no such folders; put {name}'s checkpoints there, run with random weights of its shape (--dummy), "
                + "or run the embedded model (--model_name demo)");
        }
        return new BenchModel
        {
            Name = name,
            Targets = [.. precisions.Select(p => Target(p, p == Precision.Int4 ? int4 : floats))],
            SystemIsUserTurn = name == "mistral",
        };

        PrecisionTarget Target(string precision, string folder) => Directory.Exists(folder)
            ? new PrecisionTarget(precision, Precision.Apply(precision, options, folder, isQuantized: precision == Precision.Int4), null)
            : new PrecisionTarget(precision, null, $"{folder}: no such folder");
    }

    private static BenchModel Demo(IReadOnlyList<string> precisions, EngineOptions options) => new()
    {
        Name = "demo",
        Targets =
        [
            .. precisions.Select(p => new PrecisionTarget(p, p == Precision.Int4
                ? Precision.Apply(p, options, DemoModelFolder.Int4Path, isQuantized: true)
                : Precision.Apply(p, options, DemoModelFolder.FullPath, isQuantized: false), null)),
        ],
        SystemIsUserTurn = false,
    };

    private static BenchModel Folder(string path, IReadOnlyList<string> precisions, EngineOptions options)
    {
        if (!Directory.Exists(path))
            throw new BenchException(path, "no such folder; a model name is llama, mistral, demo, or the folder of a model");
        string folder = Path.GetFullPath(path);
        var config = ModelConfigReader.Read(Path.Combine(folder, "config.json"), ModelRegistry.Supported);
        string? quantized = config.Quantization is { } quantization ? $"int{quantization.Format.Bits}" : null;
        return new BenchModel
        {
            Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)),
            Targets = [.. precisions.Select(Target)],
            SystemIsUserTurn = config.Architecture == "MistralForCausalLM",
        };

        PrecisionTarget Target(string precision) => quantized is null || quantized == precision
            ? new PrecisionTarget(precision, Precision.Apply(precision, options, folder, isQuantized: quantized is not null), null)
            : new PrecisionTarget(precision, null, $"{folder}: the checkpoint is {quantized}");
    }
}
