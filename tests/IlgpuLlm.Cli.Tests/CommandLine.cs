namespace IlgpuLlm.Cli.Tests;

/// <summary>What a command line did.</summary>
internal sealed record CommandLineResult(int ExitCode, string Out, string Error)
{
    /// <summary>Stdout's lines.</summary>
    public string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>Stdout of a run that must have succeeded and said nothing else.</summary>
    public string Text
    {
        get
        {
            Assert.AreEqual("", Error);
            Assert.AreEqual(0, ExitCode);
            return Out;
        }
    }

    /// <summary>Requires an error: its exit code, nothing on stdout, one line on stderr that holds each of the parts.</summary>
    public void AssertError(int exitCode, params string[] parts)
    {
        Assert.AreEqual(exitCode, ExitCode, Error);
        Assert.AreEqual("", Out);
        StringAssert.StartsWith(Error, "error: ");
        Assert.AreEqual(Error.Length - 1, Error.IndexOf('\n'), "one line: " + Error);
        foreach (string part in parts)
            StringAssert.Contains(Error, part);
    }
}

/// <summary>Runs command lines inside the test's process.</summary>
internal static class CommandLine
{
    /// <summary>Runs a command line with an empty standard input.</summary>
    public static Task<CommandLineResult> RunAsync(params string[] args) => RunWithInputAsync("", args);

    /// <summary>Runs a command line with a text as its standard input.</summary>
    public static Task<CommandLineResult> RunWithInputAsync(string input, params string[] args) => RunAsync(args, input, new StringWriter(), default);

    /// <summary>Runs a command line with a writer of the test's own.</summary>
    public static async Task<CommandLineResult> RunAsync(string[] args, string input, TextWriter output, CancellationToken cancellationToken)
    {
        var error = new StringWriter();
        var console = new CliConsole { In = new StringReader(input), Out = output, Error = error };
        int exitCode = await CommandLineApp.RunAsync(args, console, cancellationToken);
        return new CommandLineResult(exitCode, output.ToString()!, error.ToString());
    }
}
