using Spectre.Console;

namespace IlgpuLlm.Cli.Output;

/// <summary>A progress bar on stderr while something runs, where a person sees it.</summary>
internal static class ProgressDisplay
{
    /// <summary>Runs something; its argument takes the share that is done, from 0 to 1. Logs would tear the bar apart, so there is none with them.</summary>
    public static Task<T> RunAsync<T>(CliConsole console, string description, bool hasLogs, Func<Action<double>, Task<T>> run) =>
        console.IsErrorTerminal && !hasLogs ? ShowAsync(console, description, run) : run(static _ => { });

    // Apart, so that Spectre.Console is not even loaded where nothing is shown.
    private static Task<T> ShowAsync<T>(CliConsole console, string description, Func<Action<double>, Task<T>> run) =>
        SpectreConsoles.ForError(console).Progress().AutoClear(true).Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn())
            .StartAsync(context =>
            {
                var task = context.AddTask(description, maxValue: 1);
                return run(share => task.Value = share);
            });
}
