using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using ILGPU;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// Compiled kernels on disk. An entry is found by what its text was made from: this assembly, ILGPU's, the kernel's name and the target. Whatever is
/// wrong with the folder or an entry, kernels are compiled: nothing here throws. Safe for several threads and processes.
/// </summary>
internal sealed class PtxCache
{
    private const string Magic = "// ilgpullm-ptx-1";
    private const int HashLength = 64;
    private const long MaxBytes = 64L << 20, TrimmedBytes = 48L << 20; // a version of the program has about 3 MB for one architecture

    private readonly string? _folder;

    /// <param name="folder">Where entries are; null: nowhere.</param>
    public PtxCache(string? folder) => _folder = folder;

    /// <summary>
    /// The user's: <c>ptx</c> in <c>ILGPULLM_CACHE</c>, or else in ilgpullm's folder among the user's caches. An empty <c>ILGPULLM_CACHE</c> turns it off.
    /// </summary>
    public static PtxCache OfUser() => new(FolderOf(Environment.GetEnvironmentVariable));

    /// <summary>The folder by the environment; null where there is none.</summary>
    public static string? FolderOf(Func<string, string?> environment)
    {
        string? root = environment("ILGPULLM_CACHE");
        if (root is null)
        {
            string? caches = OperatingSystem.IsWindows() ? environment("LOCALAPPDATA")
                : environment("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg
                : environment("HOME") is { Length: > 0 } home ? Path.Combine(home, ".cache") : null;
            root = string.IsNullOrEmpty(caches) ? null : Path.Combine(caches, "ilgpullm");
        }
        return string.IsNullOrEmpty(root) || !Path.IsPathRooted(root) ? null : Path.Combine(root, "ptx");
    }

    /// <summary>Finds a kernel; null where there is no entry, or a broken one.</summary>
    public PtxKernel? Find(GpuKernel kernel, string target)
    {
        if (_folder is null)
            return null;
        try
        {
            string path = PathOf(kernel, target);
            if (!File.Exists(path))
                return null;
            var entry = Parse(File.ReadAllText(path));
            if (entry is not null && File.GetLastWriteTimeUtc(path) < DateTime.UtcNow.AddDays(-1))
                File.SetLastWriteTimeUtc(path, DateTime.UtcNow); // what is in use is not trimmed
            return entry;
        }
        catch (Exception e) when (IsFileError(e))
        {
            return null;
        }
    }

    /// <summary>Stores a kernel, in one step for all who look.</summary>
    public void Store(GpuKernel kernel, string target, PtxKernel compiled)
    {
        if (_folder is null)
            return;
        string? temporary = null;
        try
        {
            Directory.CreateDirectory(_folder);
            temporary = Path.Combine(_folder, $"{Guid.NewGuid():N}.tmp");
            File.WriteAllText(temporary, Format(compiled));
            File.Move(temporary, PathOf(kernel, target), overwrite: true);
        }
        catch (Exception e) when (IsFileError(e))
        {
            Delete(temporary);
        }
    }

    /// <summary>Deletes the oldest entries if all of them take too much.</summary>
    public void Trim() => Trim(MaxBytes, TrimmedBytes);

    /// <summary>Deletes the oldest entries if all of them take more than <paramref name="maxBytes"/>, until they take <paramref name="trimmedBytes"/>.</summary>
    public void Trim(long maxBytes, long trimmedBytes)
    {
        if (_folder is null)
            return;
        try
        {
            var files = new DirectoryInfo(_folder).EnumerateFiles().ToList();
            long total = files.Sum(file => file.Length);
            if (total <= maxBytes)
                return;
            foreach (var file in files.OrderBy(file => file.LastWriteTimeUtc).TakeWhile(_ => total > trimmedBytes))
            {
                total -= file.Length;
                Delete(file.FullName);
            }
        }
        catch (Exception e) when (IsFileError(e))
        {
            // Another process trims, or the folder is gone.
        }
    }

    // The hash of the rest, then the rest: a line for the launcher, and the text.
    private static string Format(PtxKernel kernel)
    {
        string rest = string.Create(CultureInfo.InvariantCulture, $"{kernel.StaticSharedBytes} {(kernel.HasDynamicShared ? 1 : 0)}\n{kernel.Text}");
        return $"{Magic} {HashOf(rest)} {rest}";
    }

    private static PtxKernel? Parse(string entry)
    {
        int restAt = Magic.Length + HashLength + 2;
        if (entry.Length < restAt || entry[..restAt] != $"{Magic} {HashOf(entry[restAt..])} ")
            return null;
        int lineEnd = entry.IndexOf('\n', StringComparison.Ordinal);
        string[] fields = entry[restAt..lineEnd].Split(' ');
        return new PtxKernel(entry[(lineEnd + 1)..], int.Parse(fields[0], CultureInfo.InvariantCulture), fields[1] == "1");
    }

    private static string HashOf(string text) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static bool IsFileError(Exception e) => e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException or System.Security.SecurityException;

    private static void Delete(string? path)
    {
        try
        {
            if (path is not null)
                File.Delete(path);
        }
        catch (Exception e) when (IsFileError(e))
        {
            // It is in use, or gone.
        }
    }

    /// <summary>Compilers give an assembly a new module version id with every change to it: of kernels, of the patch, of ILGPU.</summary>
    private string PathOf(GpuKernel kernel, string target)
    {
        Guid ours = typeof(PtxCache).Module.ModuleVersionId, ilgpu = typeof(Context).Module.ModuleVersionId;
        string key = HashOf($"{ours:N} {ilgpu:N} {kernel.Name} {kernel.GroupSize} {target}");
        return Path.Combine(_folder!, key[..40].ToLowerInvariant() + ".ptx");
    }
}
