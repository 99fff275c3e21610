using System.Text.Json;

namespace IlgpuLlm.TestSupport;

/// <summary>Finds the data that tests read: committed data under tests/data, and ../shared beside the repository where it is present.</summary>
internal static class TestData
{
    /// <summary>The repository's root: the folder of IlgpuLlm.sln above the program, or ILGPULLM_ROOT for packed tests that lie elsewhere.</summary>
    public static string Root { get; } = Environment.GetEnvironmentVariable("ILGPULLM_ROOT") ?? FindRoot(AppContext.BaseDirectory)
        ?? throw new InvalidOperationException($"tests need the repository: no IlgpuLlm.sln above {AppContext.BaseDirectory} and no ILGPULLM_ROOT");

    /// <summary>A file or folder under tests/data; it is committed, so it must exist.</summary>
    public static string Committed(params string[] parts) => Path.Combine([Root, "tests", "data", .. parts]);

    /// <summary>A file or folder of ../shared; where it is absent the test is reported as skipped.</summary>
    public static string Shared(params string[] parts)
    {
        string path = Path.Combine([Environment.GetEnvironmentVariable("ILGPULLM_SHARED") ?? Path.Combine(Root, "..", "shared"), .. parts]);
        if (!Path.Exists(path))
            Assert.Inconclusive($"skipped: {path} is absent");
        return path;
    }

    /// <summary>Parses a JSON file.</summary>
    public static JsonElement Json(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.Clone();
    }

    private static string? FindRoot(string? folder)
    {
        while (folder is not null && !File.Exists(Path.Combine(folder, "IlgpuLlm.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder;
    }
}
