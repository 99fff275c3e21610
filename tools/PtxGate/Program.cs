// Compiles every kernel of the catalog to PTX and has ptxas assemble it. Fails on a kernel that does not compile or assemble, on warnings, on spills,
// and, for hot kernels, on any stack or local memory.
//   dotnet run -c Release --project tools/PtxGate [-- --save FOLDER] [-- --filter TEXT] [-- --table FILE]
//   dotnet run -c Release --project tools/PtxGate -- --time        compile times, without and with the cache on disk, instead
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.PtxGate;

string? folder = Option("--save"), filter = Option("--filter"), table = Option("--table");
var kernels = KernelCatalog.All.Where(k => filter is null || k.Name.Contains(filter, StringComparison.Ordinal)).ToArray();
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
List<KernelReport> reports = [];
Console.WriteLine($"{"kernel",-36} {"arch",-7} {"registers",9} {"shared",7} {"dynamic",7} {"stack",6} {"spills",7} {"compile",10}");
using (var gate = new Gate(ptxas, folder))
{
    foreach (var report in gate.Run(kernels))
    {
        reports.Add(report);
        if (report.Ptxas is { } said)
        {
            Console.WriteLine(
                $"{report.Kernel.Name,-36} {report.Architecture,-7} {said.Registers,9} {said.SharedBytes,7} {report.Kernel.DynamicSharedBytes,7} {said.StackBytes,6} "
                + $"{said.SpillBytes,7} {report.Milliseconds,7} ms");
        }
        foreach (string failure in report.Failures)
            Console.Error.WriteLine(failure);
        failures += report.Failures.Count;
    }
}
if (failures > 0)
{
    Console.Error.WriteLine($"ptxas gate: {failures} failures");
    return 1;
}
if (table is not null && ptxas is not null)
    RegisterTable.Write(table, root, ptxas, reports);
Console.WriteLine(ptxas is null
    ? $"ptxas gate: skipped (Debian unreachable); {kernels.Length} kernels compile to PTX"
    : $"ptxas gate: {kernels.Length} kernels pass");
return 0;

string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : null;

static string FindRoot()
{
    string? at = AppContext.BaseDirectory;
    while (at is not null && !File.Exists(Path.Combine(at, "IlgpuLlm.sln")))
        at = Path.GetDirectoryName(at);
    return at ?? throw new InvalidOperationException("run inside the repository: no IlgpuLlm.sln above " + AppContext.BaseDirectory);
}
