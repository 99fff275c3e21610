namespace IlgpuLlm.Bench;

/// <summary>Files that users name: what the system refuses is a <see cref="BenchException"/>.</summary>
internal static class Files
{
    /// <summary>Does something with a file or folder.</summary>
    /// <param name="path">The file or folder, for errors.</param>
    /// <param name="problem">What it means when it fails: <c>cannot be read</c>.</param>
    /// <param name="action">What is done.</param>
    /// <exception cref="BenchException">It failed.</exception>
    public static T Try<T>(string path, string problem, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new BenchException(path, $"{problem}: {e.Message}", e);
        }
    }

    /// <summary>Makes a folder where there is none, and tries to write there, before anything is computed in vain.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="problem">As of <see cref="Try{T}(string, string, Func{T})"/>.</param>
    /// <returns>Its full path.</returns>
    /// <exception cref="BenchException">It cannot be written.</exception>
    public static string MakeFolder(string path, string problem) => Try(path, problem, () =>
    {
        string folder = Directory.CreateDirectory(path).FullName;
        string probe = Path.Combine(folder, ".probe");
        File.WriteAllText(probe, "");
        File.Delete(probe);
        return folder;
    });

    /// <summary>Tries to write a file, before anything is computed in vain; what it holds stays, and where there was none there is none.</summary>
    /// <exception cref="BenchException">It cannot be written.</exception>
    public static void CheckWritable(string path) => Try(path, "cannot be written", () =>
    {
        bool isNew = !File.Exists(path);
        File.AppendAllText(path, "");
        if (isNew)
            File.Delete(path);
    });

    /// <inheritdoc cref="Try{T}(string, string, Func{T})"/>
    public static void Try(string path, string problem, Action action) => Try(path, problem, () =>
    {
        action();
        return true;
    });
}
