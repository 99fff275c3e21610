using System.Diagnostics;
using System.Text;

namespace IlgpuLlm.Cli.Tests;

/// <summary>The built program under a terminal of its own, which util-linux's <c>script</c> makes: what is written are keys, among them Ctrl-C.</summary>
internal sealed class TerminalProgram : IDisposable
{
    public const string CtrlC = "\u0003";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly Process _process;
    private readonly string _codeFile;
    private readonly StringBuilder _screen = new();

    private TerminalProgram(Process process, string codeFile) => (_process, _codeFile) = (process, codeFile);

    /// <summary>Starts the program, or skips the test where there is no such terminal.</summary>
    public static TerminalProgram Start(params string[] args)
    {
        if (!OperatingSystem.IsLinux() || !BuiltProgram.IsOnPath("script"))
            Assert.Inconclusive("skipped: no terminal by util-linux's script");
        // env, as background jobs of a shell ignore SIGINT, and their children as well.
        string command = string.Join(' ', ((string[])["env", "--default-signal=INT", "NO_COLOR=1", .. BuiltProgram.CommandOf("ilgpullm.dll", args)]).Select(word => $"'{word}'"));
        // The exit code goes through a file, past script; the shell outlives Ctrl-C to write it.
        string codeFile = Path.GetTempFileName();
        string[] ofScript = ["--quiet", "--flush", "--command", $"trap : INT; {command}; echo $? > '{codeFile}'", "/dev/null"];
        return new TerminalProgram(BuiltProgram.StartProcess("script", ofScript), codeFile);
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
    /// <param name="exitCode">What the program must tell its caller.</param>
    public async Task FinishAsync(int exitCode)
    {
        while (await ReadAsync()) { }
        await _process.WaitForExitAsync().WaitAsync(Patience);
        string actual = (await File.ReadAllTextAsync(_codeFile)).Trim();
        Assert.AreEqual($"{exitCode}", actual, $"the program ended with '{actual}', not {exitCode}; last on the screen: {Screen[Math.Max(0, Screen.Length - 500)..]}");
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
        File.Delete(_codeFile);
    }

    private async Task<bool> ReadAsync()
    {
        char[] buffer = new char[4096];
        int count = await _process.StandardOutput.ReadAsync(buffer).AsTask().WaitAsync(Patience);
        _screen.Append(buffer, 0, count);
        return count > 0;
    }
}
