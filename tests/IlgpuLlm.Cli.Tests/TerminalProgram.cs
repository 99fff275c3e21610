using System.Diagnostics;
using System.Text;

namespace IlgpuLlm.Cli.Tests;

/// <summary>The built program under a terminal of its own, which util-linux's <c>script</c> makes: what is written are keys, among them Ctrl-C.</summary>
internal sealed class TerminalProgram : IDisposable
{
    public const string CtrlC = "\u0003";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly Process _process;
    private readonly StringBuilder _screen = new();

    private TerminalProgram(Process process) => _process = process;

    /// <summary>Starts the program, or skips the test where there is no such terminal.</summary>
    public static TerminalProgram Start(params string[] args)
    {
        if (!OperatingSystem.IsLinux() || !BuiltProgram.IsOnPath("script"))
            Assert.Inconclusive("skipped: no terminal by util-linux's script");
        // env, as background jobs of a shell ignore SIGINT, and their children as well.
        string command = string.Join(' ', ((string[])["env", "--default-signal=INT", "NO_COLOR=1", .. BuiltProgram.CommandOf("ilgpullm.dll", args)]).Select(word => $"'{word}'"));
        return new TerminalProgram(BuiltProgram.StartProcess("script", ["--quiet", "--return", "--flush", "--command", command, "/dev/null"]));
    }

    /// <summary>All that was shown so far.</summary>
    public string Screen => _screen.ToString();

    /// <summary>Presses keys.</summary>
    public async Task TypeAsync(string keys)
    {
        await _process.StandardInput.WriteAsync(keys);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits until a text comes on the screen.</summary>
    /// <param name="text">The text.</param>
    /// <param name="after">Where on the screen it is looked for.</param>
    /// <returns>Where it ends.</returns>
    public async Task<int> WaitForAsync(string text, int after = 0)
    {
        int at;
        while ((at = Screen.IndexOf(text, after, StringComparison.Ordinal)) < 0)
            Assert.IsTrue(await ReadAsync(), $"the program ended before '{text}' came: {Screen}");
        return at + text.Length;
    }

    /// <summary>Waits until so many characters are on the screen.</summary>
    public async Task WaitForLengthAsync(int length)
    {
        while (_screen.Length < length)
            Assert.IsTrue(await ReadAsync(), $"the program ended early: {Screen}");
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> FinishAsync()
    {
        while (await ReadAsync()) { }
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    private async Task<bool> ReadAsync()
    {
        char[] buffer = new char[4096];
        int count = await _process.StandardOutput.ReadAsync(buffer).AsTask().WaitAsync(Patience);
        _screen.Append(buffer, 0, count);
        return count > 0;
    }
}
