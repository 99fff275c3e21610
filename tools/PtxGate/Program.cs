// Compiles every kernel of the catalog to PTX and has ptxas assemble it. Fails on a kernel that does not compile or assemble, on warnings, on spills,
// and, for hot kernels, on any stack or local memory.
//   dotnet run -c Release --project tools/PtxGate [-- --save FOLDER] [-- --filter TEXT]
//   dotnet run -c Release --project tools/PtxGate -- --trials      the kernels that are there to be measured only, instead
//   dotnet run -c Release --project tools/PtxGate -- --time        compile times, without and with the cache on disk, instead
using System.Diagnostics;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Gpu.Ptx;
using IlgpuLlm.PtxGate;

(int Major, int Minor)[] architectures = [(8, 0), (8, 9), (9, 0)];
string? folder = Option("--save"), filter = Option("--filter");
var kernels = (args.Contains("--trials") ? HopperLinearKernel.Trials : KernelCatalog.All).Where(k => filter is null || k.Name.Contains(filter, StringComparison.Ordinal)).ToArray();
if (args.Contains("--time"))
{
    ColdStart.Measure(kernels);
    return 0;
}
string root = FindRoot();
var ptxas = Ptxas.Find(root);
if (folder is not null)
    Directory.CreateDirectory(folder);

int failures = 0;
Console.WriteLine($"{"kernel",-36} {"arch",-7} {"registers",9} {"shared",7} {"stack",6} {"spills",7} {"compile",10}");
foreach (var kernel in kernels)
{
    foreach ((int major, int minor) in architectures)
    {
        string architecture = kernel.Target ?? $"sm_{major}{minor}";
        if (kernel.Target is not null && !kernel.Target.StartsWith($"sm_{major}{minor}", StringComparison.Ordinal))
            continue;
        var watch = Stopwatch.StartNew();
        string ptx;
        try
        {
            ptx = PtxKernels.Compile(kernel, major, minor);
        }
        catch (Exception e)
        {
            Fail($"{kernel.Name} {architecture}: does not compile: {e.InnerException ?? e}");
            continue;
        }
        long milliseconds = watch.ElapsedMilliseconds;
        if (folder is not null)
            File.WriteAllText(Path.Combine(folder, $"{kernel.Name}.{architecture}.ptx"), ptx);
        if (ptxas is null)
            continue;
        var report = ptxas.Assemble(ptx, architecture);
        Console.WriteLine(
            $"{kernel.Name,-36} {architecture,-7} {report.Registers,9} {report.SharedBytes,7} {report.StackBytes,6} {report.SpillBytes,7} {milliseconds,7} ms");
        if (report.Error is not null)
            Fail($"{kernel.Name} {architecture}: {report.Error}");
        if (report.SpillBytes > 0 || (kernel.IsHot && report.StackBytes > 0))
            Fail($"{kernel.Name} {architecture}: spills, or stack in a hot kernel");
    }
}
if (failures > 0)
{
    Console.Error.WriteLine($"ptxas gate: {failures} failures");
    return 1;
}
Console.WriteLine(ptxas is null
    ? $"ptxas gate: skipped (Debian unreachable); {kernels.Length} kernels compile to PTX"
    : $"ptxas gate: {kernels.Length} kernels pass");
return 0;

void Fail(string message)
{
    failures++;
    Console.Error.WriteLine(message);
}

string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : null;

static string FindRoot()
{
    string? at = AppContext.BaseDirectory;
    while (at is not null && !File.Exists(Path.Combine(at, "IlgpuLlm.sln")))
        at = Path.GetDirectoryName(at);
    return at ?? throw new InvalidOperationException("run inside the repository: no IlgpuLlm.sln above " + AppContext.BaseDirectory);
}
