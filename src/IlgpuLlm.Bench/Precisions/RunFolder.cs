using System.Globalization;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>The folder of a run's files: <c>logs/&lt;model&gt;/&lt;benchmark&gt;-&lt;date time&gt;</c>, as the seed's benchmark lays them out.</summary>
internal sealed class RunFolder
{
    private RunFolder(string path) => FullPath = path;

    public string FullPath { get; }

    /// <summary>Makes the folder and tries to write there, before anything is measured in vain.</summary>
    /// <param name="logsFolder">The folder of all logs.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="start">When the run began.</param>
    /// <exception cref="BenchException">It cannot be written.</exception>
    public static RunFolder Create(string logsFolder, string model, DateTimeOffset start)
    {
        // As Python's str(datetime.now()); Windows allows no colons.
        string time = start.ToString(OperatingSystem.IsWindows() ? "yyyy-MM-dd HH-mm-ss.ffffff" : "yyyy-MM-dd HH:mm:ss.ffffff", CultureInfo.InvariantCulture);
        string path = Path.Combine(logsFolder, model, $"{PrecisionRun.BenchmarkName}-{time}");
        return new RunFolder(Files.MakeFolder(path, "the folder of the logs cannot be written"));
    }

    /// <summary>A file of the run.</summary>
    public string File(string name) => Path.Combine(FullPath, name);

    /// <summary>Where the log goes: a name alone lies in the run's folder, anything with a folder is a path of its own.</summary>
    public string LogFile(string? name) =>
        name is null ? File("performance.log") : Path.GetFileName(name) == name ? File(name) : Path.GetFullPath(name);
}
