namespace IlgpuLlm.Bench;

/// <summary>Texts that are part of the assembly.</summary>
internal static class Resource
{
    public static string Text(string name)
    {
        using var reader = new StreamReader(typeof(Resource).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"no resource {name}"));
        return reader.ReadToEnd();
    }
}
