using System.Globalization;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>What the machine's processors are.</summary>
internal static class CpuTopology
{
    private const string CpuFolder = "/sys/devices/system/cpu";

    /// <summary>
    /// The cores that this process may use: distinct (package, core) pairs on Linux, at most <see cref="Environment.ProcessorCount"/>, which knows
    /// affinity and container limits. Elsewhere the processor count itself.
    /// </summary>
    public static int CountPhysicalCores()
    {
        var cores = new HashSet<(int, int)>();
        for (int cpu = 0; Directory.Exists($"{CpuFolder}/cpu{cpu}"); cpu++)
            if (TryRead(cpu, "physical_package_id", out int package) && TryRead(cpu, "core_id", out int core))
                cores.Add((package, core));
        return cores.Count > 0 ? Math.Min(cores.Count, Environment.ProcessorCount) : Environment.ProcessorCount;
    }

    /// <summary>The processor's name, or its architecture where the system does not tell.</summary>
    public static string ReadModelName()
    {
        const string Key = "model name";
        string? line = null;
        if (File.Exists("/proc/cpuinfo"))
            line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal));
        return line is null
            ? System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString()
            : line[(line.IndexOf(':') + 1)..].Trim();
    }

    private static bool TryRead(int cpu, string name, out int value)
    {
        value = 0;
        string path = $"{CpuFolder}/cpu{cpu}/topology/{name}";
        return File.Exists(path) && int.TryParse(File.ReadAllText(path).AsSpan().Trim(), CultureInfo.InvariantCulture, out value);
    }
}
