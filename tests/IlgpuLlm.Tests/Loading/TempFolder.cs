using System.Text;

namespace IlgpuLlm.Tests.Loading;

/// <summary>A folder of its own for a test, deleted at the end.</summary>
internal sealed class TempFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;

    public string Write(string name, byte[] content)
    {
        string file = System.IO.Path.Combine(Path, name);
        File.Delete(file); // ext4 writes a file that is truncated and rewritten to disk at once, which fuzz tests would wait for.
        File.WriteAllBytes(file, content);
        return file;
    }

    public string Write(string name, string content) => Write(name, Encoding.UTF8.GetBytes(content));

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
