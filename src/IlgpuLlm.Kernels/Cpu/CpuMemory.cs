using System.Globalization;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>The machine's memory as this process may use it.</summary>
internal static class CpuMemory
{
    /// <summary>
    /// Total and available memory from /proc/meminfo, lowered to what the process's cgroup (version 1 or 2) leaves; page cache counts as available.
    /// Without /proc the garbage collector's view.
    /// </summary>
    public static DeviceMemory Query()
    {
        if (!TryReadField("/proc/meminfo", "MemTotal:", out long total) || !TryReadField("/proc/meminfo", "MemAvailable:", out long free))
        {
            GCMemoryInfo info = GC.GetGCMemoryInfo();
            return new DeviceMemory(info.TotalAvailableMemoryBytes, Math.Max(0, info.TotalAvailableMemoryBytes - info.MemoryLoadBytes));
        }
        total *= 1024;
        free *= 1024;
        foreach ((string folder, string limitFile, string usageFile, string cacheField) in CgroupFolders())
            if (TryReadNumber(folder + limitFile, out long limit) && limit < total && TryReadNumber(folder + usageFile, out long usage))
            {
                TryReadField(folder + "/memory.stat", cacheField, out long cache);
                total = limit;
                free = Math.Clamp(limit - usage + cache, 0, free);
            }
        return new DeviceMemory(total, Math.Min(free, total));
    }

    private static IEnumerable<(string Folder, string LimitFile, string UsageFile, string CacheField)> CgroupFolders()
    {
        if (!File.Exists("/proc/self/cgroup"))
            yield break;
        foreach (string line in File.ReadAllLines("/proc/self/cgroup"))
        {
            // "0::/path" is version 2; "4:memory:/path" is version 1. Within a container the path may not exist: then its root holds the limits.
            string[] parts = line.Split(':', 3);
            if (parts is ["0", "", var path])
                foreach (string folder in Ancestors("/sys/fs/cgroup", path))
                    yield return (folder, "/memory.max", "/memory.current", "file");
            else if (parts is [_, var controllers, var path1] && controllers.Split(',').Contains("memory"))
                foreach (string folder in Ancestors("/sys/fs/cgroup/memory", path1))
                    yield return (folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_cache");
        }
    }

    private static IEnumerable<string> Ancestors(string root, string path)
    {
        for (string folder = path.TrimEnd('/'); folder.Length > 0; folder = folder[..folder.LastIndexOf('/')])
            yield return root + folder;
        yield return root;
    }

    private static bool TryReadNumber(string path, out long value)
    {
        value = 0;
        return File.Exists(path) && long.TryParse(File.ReadAllText(path).AsSpan().Trim(), CultureInfo.InvariantCulture, out value);
    }

    private static bool TryReadField(string path, string name, out long value)
    {
        value = 0;
        if (!File.Exists(path))
            return false;
        foreach (string line in File.ReadLines(path))
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var key, var number, ..] && key == name)
                return long.TryParse(number, CultureInfo.InvariantCulture, out value);
        return false;
    }
}
