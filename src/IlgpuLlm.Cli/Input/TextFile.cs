using System.Text;

namespace IlgpuLlm.Cli.Input;

/// <summary>Reads files that are one text.</summary>
internal static class TextFile
{
    /// <summary>Reads a whole file.</summary>
    /// <param name="file">A path; <c>-</c> is the standard input.</param>
    /// <param name="standardInput">The standard input.</param>
    /// <exception cref="IOException">The file cannot be read, or is not UTF-8.</exception>
    public static string Read(string file, TextReader standardInput)
    {
        try
        {
            return file == "-" ? standardInput.ReadToEnd() : File.ReadAllText(file, new UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (DecoderFallbackException e)
        {
            throw new IOException($"{InputLines.NameOf(file)}: not UTF-8", e);
        }
        catch (ArgumentException e)
        {
            throw new IOException($"'{file}' is not a path: {e.Message}", e);
        }
    }
}
