using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace IlgpuLlm.PtxGate;

/// <summary>The register table of bench/results.</summary>
internal static class RegisterTable
{
    /// <summary>Writes what ptxas said of kernels as markdown.</summary>
    public static void Write(string file, string root, Ptxas ptxas, IReadOnlyCollection<KernelReport> reports)
    {
        KernelReport[] lines = [.. reports.Where(report => report.Ptxas is not null)];
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"""
            # Registers and memory of every GPU kernel

            Commit {Commit(root)}, {ptxas.Version()}. Made by `dotnet run -c Release --project tools/PtxGate -- --table FILE`; needs no GPU.
            {lines.Select(line => line.Kernel).Distinct().Count()} kernels; spills: {lines.Count(line => line.Ptxas!.SpillBytes > 0)}, stack or local memory: {lines.Count(line => line.Ptxas!.StackBytes > 0)}.
            Registers a lane; shared memory of a group, stack of a lane and spills in bytes. Dynamic shared memory is what each launch asks for.

            | kernel | arch | lanes | registers | shared, static | shared, dynamic | stack | spills |
            |---|---|---:|---:|---:|---:|---:|---:|

            """));
        foreach (var (kernel, architecture, _, report, _) in lines)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {kernel.Name} | {architecture} | {kernel.GroupSize} | {report!.Registers} | {report.SharedBytes} | {kernel.DynamicSharedBytes} | {report.StackBytes} | {report.SpillBytes} |\n");
        }
        File.WriteAllText(file, text.ToString());
    }

    /// <summary>The commit of the working tree, marked where there are changes to what is compiled.</summary>
    private static string Commit(string root)
    {
        string commit = Git("rev-parse", "--short", "HEAD");
        return Git("status", "--porcelain", "--", "src/IlgpuLlm.Kernels").Length > 0 ? commit + " with changes" : commit;

        string Git(params string[] arguments)
        {
            using var process = Process.Start(new ProcessStartInfo("git", ["-C", root, .. arguments]) { RedirectStandardOutput = true })!;
            string output = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : "unknown";
        }
    }
}
