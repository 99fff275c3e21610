using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Golden;

/// <summary>The names of the committed checkpoints.</summary>
internal static class ZooFolders
{
    /// <summary>Those of floats and halves.</summary>
    public static IEnumerable<string> Floats => All.Where(name => !IsQuantized(name));

    /// <summary>Those that are quantized by AWQ and GPTQ.</summary>
    public static IEnumerable<string> Quantized => All.Where(IsQuantized);

    private static IEnumerable<string> All => Directory.GetDirectories(TestData.Committed("zoo")).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal);

    private static bool IsQuantized(string name) => name.Contains("awq") || name.Contains("gptq");
}
