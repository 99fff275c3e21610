using System.Diagnostics;

namespace IlgpuLlm.Cli.Tests;

/// <summary>Starts the built program as users do, for what one process cannot show: streams, pipes, signals.</summary>
internal static class BuiltProgram
{
    private static readonly string Dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";

    // Test programs also run packed, on machines without .NET.
    private static bool HasDotnet { get; } = Path.IsPathRooted(Dotnet) || IsOnPath(Dotnet);

    /// <summary>Whether there is such a program.</summary>
    public static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>The words that start a program that lies beside the tests.</summary>
    public static string[] CommandOf(string dll, params string[] args) => [Dotnet, "exec", Path.Combine(AppContext.BaseDirectory, dll), .. args];

    /// <summary>Starts a program that lies beside the tests.</summary>
    public static Process Start(string dll, params string[] args) => StartProcess(Dotnet, CommandOf(dll, args)[1..]);

    /// <summary>Starts the program so that SIGINT reaches it: background jobs of a shell, and their children, ignore it otherwise.</summary>
    public static Process StartInterruptible(params string[] args) =>
        StartProcess("env", ["--default-signal=INT", .. CommandOf("ilgpullm.dll", args)]);

    /// <summary>Runs a shell command in which <c>ilgpullm</c> is the program.</summary>
    public static Task<CommandLineResult> ShellAsync(string command)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "ilgpullm.dll");
        return FinishAsync(StartProcess("bash", ["-c", $"ilgpullm() {{ '{Dotnet}' exec '{program}' \"$@\"; }}; set -o pipefail; {command}"]));
    }

    /// <summary>Waits for the end, at most a minute.</summary>
    public static async Task<CommandLineResult> FinishAsync(Process process)
    {
        using (process)
        {
            process.StandardInput.Close();
            using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(1));
            try
            {
                var output = process.StandardOutput.ReadToEndAsync(timeout.Token);
                string error = await process.StandardError.ReadToEndAsync(timeout.Token);
                await process.WaitForExitAsync(timeout.Token);
                return new CommandLineResult(process.ExitCode, await output, error);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }
        }
    }

    /// <summary>Starts any program that starts this one; skips the test where there is nothing to start it with.</summary>
    public static Process StartProcess(string file, string[] args)
    {
        if (!HasDotnet)
            Assert.Inconclusive("skipped: there is no dotnet to start the built program with");
        var start = new ProcessStartInfo(file, args) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        return Process.Start(start)!;
    }
}
