using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.PtxGate;

/// <summary>
/// Compiles and assembles kernels, as many at a time as there are processors. ILGPU compiles a kernel once for all architectures: its text is the same but for
/// what the patch puts in, which is seen to for the first kernel of each family.
/// </summary>
/// <param name="ptxas">The assembler; null: kernels are compiled only.</param>
/// <param name="folder">Where to write each kernel's text; null: nowhere.</param>
internal sealed partial class Gate(Ptxas? ptxas, string? folder) : IDisposable
{
    private static readonly CudaArchitecture[] Architectures = [new(8, 0), new(8, 9), new(9, 0)];

    // Contexts are used again: a new one for each kernel takes twice the time.
    private readonly PtxCompiler[] _compilers = [.. Architectures.Select(architecture => new PtxCompiler(architecture, CudaInstructionSet.ISA_84))];

    /// <summary>Reports on kernels in their order, each as soon as it and those before it are done.</summary>
    public IEnumerable<KernelReport> Run(GpuKernel[] kernels)
    {
        var reports = kernels.Select(_ => new TaskCompletionSource<KernelReport[]>()).ToArray();
        HashSet<GpuKernel> firstOfFamilies = [.. kernels.GroupBy(kernel => kernel.Name.Split('.')[0]).Select(family => family.First())];
        // One index after the other is handed out, so that the first kernels are done first.
        var indices = Partitioner.Create(Enumerable.Range(0, kernels.Length), EnumerablePartitionerOptions.NoBuffering);
        var work = Task.Run(() => Parallel.ForEach(indices, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            try
            {
                reports[i].SetResult([.. Examine(kernels[i], comparesTexts: firstOfFamilies.Contains(kernels[i]))]);
            }
            catch (Exception e)
            {
                reports[i].SetException(e);
            }
        }));
        foreach (var report in reports)
        {
            foreach (var line in report.Task.GetAwaiter().GetResult())
                yield return line;
        }
        work.GetAwaiter().GetResult();
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_compilers, compiler => compiler.Dispose());

    private IEnumerable<KernelReport> Examine(GpuKernel kernel, bool comparesTexts)
    {
        var watch = Stopwatch.StartNew();
        string text;
        List<string> failures = [];
        try
        {
            text = _compilers[0].Translate(kernel).Text;
            if (comparesTexts && _compilers.Skip(1).Any(other => Renumbered(other.Translate(kernel).Text) != Renumbered(text)))
                failures.Add($"{kernel.Name}: its text depends on the architecture, which this gate does not expect");
        }
        catch (Exception e)
        {
            return [new(kernel, kernel.Target ?? "all", watch.ElapsedMilliseconds, null, [$"{kernel.Name}: does not compile: {e.InnerException ?? e}"])];
        }
        long milliseconds = watch.ElapsedMilliseconds;
        return Architectures.Where(architecture => kernel.Target is null || kernel.Target.StartsWith(NameOf(architecture), StringComparison.Ordinal))
            .Select(architecture => Assemble(kernel, architecture, text, milliseconds, failures)).ToArray();
    }

    private KernelReport Assemble(GpuKernel kernel, CudaArchitecture architecture, string text, long milliseconds, List<string> before)
    {
        string name = kernel.Target ?? NameOf(architecture), ptx = PtxPatch.Apply(text, 10 * architecture.Major + architecture.Minor, kernel);
        if (folder is not null)
            File.WriteAllText(Path.Combine(folder, $"{kernel.Name}.{name}.ptx"), ptx);
        if (ptxas is null)
            return new(kernel, name, milliseconds, null, before);
        List<string> failures = [.. before];
        var report = ptxas.Assemble(ptx, name);
        if (report.Error is not null)
            failures.Add($"{kernel.Name} {name}: {report.Error}");
        if (report.SpillBytes > 0 || (kernel.IsHot && report.StackBytes > 0))
            failures.Add($"{kernel.Name} {name}: spills, or stack in a hot kernel");
        return new(kernel, name, milliseconds, report, failures);
    }

    /// <summary>The text with the numbers of ILGPU's values, which count on in a context, in the order in which they appear.</summary>
    private static string Renumbered(string text)
    {
        Dictionary<string, string> numbers = [];
        return ValueNumber().Replace(text, match =>
        {
            if (!numbers.TryGetValue(match.Value, out string? number))
                numbers.Add(match.Value, number = $"{numbers.Count}");
            return number;
        });
    }

    private static string NameOf(CudaArchitecture architecture) => $"sm_{architecture.Major}{architecture.Minor}";

    [GeneratedRegex(@"(?<=_)\d+\b")]
    private static partial Regex ValueNumber();
}
