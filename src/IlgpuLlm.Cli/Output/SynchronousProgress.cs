namespace IlgpuLlm.Cli.Output;

/// <summary>Progress told on the thread that makes it: <see cref="Progress{T}"/> posts to the thread pool, and a report may come after the end.</summary>
internal sealed class SynchronousProgress<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
