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

    /// <inheritdoc cref="Try{T}(string, string, Func{T})"/>
    public static void Try(string path, string problem, Action action) => Try(path, problem, () =>
    {
        action();
        return true;
    });
}
