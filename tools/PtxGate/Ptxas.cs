using System.Diagnostics;
using System.Text.RegularExpressions;

namespace IlgpuLlm.PtxGate;

/// <summary>What ptxas says of a kernel.</summary>
/// <param name="Error">Its output, where it failed or warned; otherwise null.</param>
/// <param name="Registers">Registers a thread.</param>
/// <param name="SharedBytes">Static shared memory a group.</param>
/// <param name="StackBytes">Stack and local memory a thread.</param>
/// <param name="SpillBytes">Bytes of spill loads and stores.</param>
internal sealed record PtxasReport(string? Error, int Registers, int SharedBytes, int StackBytes, int SpillBytes);

/// <summary>NVIDIA's assembler, which needs no GPU.</summary>
internal sealed partial class Ptxas(string program)
{
    /// <summary>The exit code with which tools/get-ptxas.sh says that Debian's archive cannot be reached.</summary>
    private const int Unreachable = 3;

    /// <summary>Finds ptxas in tools/bin, fetching it first where it is absent; null where it cannot be fetched because Debian is unreachable.</summary>
    public static Ptxas? Find(string root)
    {
        string program = Path.Combine(root, "tools", "bin", "usr", "bin", "ptxas");
        if (!File.Exists(program))
        {
            (int exitCode, string output) = Run("bash", Path.Combine(root, "tools", "get-ptxas.sh"), Path.Combine(root, "tools", "bin"));
            if (exitCode == Unreachable)
                return null;
            if (exitCode != 0)
                throw new InvalidOperationException($"get-ptxas.sh failed with exit code {exitCode}: {output}");
        }
        return new Ptxas(program);
    }

    /// <summary>Assembles PTX text for an architecture such as sm_90.</summary>
    public PtxasReport Assemble(string ptx, string architecture)
    {
        string source = Path.GetTempFileName();
        try
        {
            File.WriteAllText(source, ptx);
            (int exitCode, string output) = Run(program, "-arch=" + architecture, "-v", source, "-o", "/dev/null");
            bool failed = exitCode != 0 || output.Contains("warning", StringComparison.Ordinal);
            return new PtxasReport(
                failed ? output : null, Number(Registers(), output), Number(Shared(), output), Number(Stack(), output) + Number(Local(), output),
                Number(SpillStores(), output) + Number(SpillLoads(), output));
        }
        finally
        {
            File.Delete(source);
        }
    }

    /// <summary>Its release, such as <c>ptxas 12.4.131</c>.</summary>
    public string Version() => "ptxas " + (ReleaseNumber().Match(Run(program, "--version").Output) is { Success: true } match ? match.Groups[1].Value : "of an unknown release");

    private static (int ExitCode, string Output) Run(string file, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    private static int Number(Regex pattern, string text) => pattern.Match(text) is { Success: true } match ? int.Parse(match.Groups[1].Value) : 0;

    [GeneratedRegex(@"release [\d.]+, V([\d.]+)")]
    private static partial Regex ReleaseNumber();

    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex Registers();

    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();

    [GeneratedRegex(@"(\d+) bytes stack frame")]
    private static partial Regex Stack();

    [GeneratedRegex(@"(\d+) bytes lmem")]
    private static partial Regex Local();

    [GeneratedRegex(@"(\d+) bytes spill stores")]
    private static partial Regex SpillStores();

    [GeneratedRegex(@"(\d+) bytes spill loads")]
    private static partial Regex SpillLoads();
}
