using IlgpuLlm.Cli.Output;

namespace IlgpuLlm.Cli.Generation;

/// <summary>Loads models.</summary>
internal static class ModelLoading
{
    /// <summary>Loads with a progress bar. A load that was cancelled is left behind: the program ends anyway.</summary>
    public static Task<T> LoadAsync<T>(CliConsole console, EngineOptions engine, bool hasLogs, Func<EngineOptions, Task<T>> load,
        CancellationToken cancellationToken) => ProgressDisplay.RunAsync(console, "loading", hasLogs, report => load(engine with
        {
            Progress = new SynchronousProgress<Loading.LoadProgress>(p => report(p.Share)),
        }).WaitAsync(cancellationToken));
}
