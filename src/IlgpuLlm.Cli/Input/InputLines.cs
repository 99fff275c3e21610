using System.Text;

namespace IlgpuLlm.Cli.Input;

/// <summary>A line of a file, and its number, counted from 1.</summary>
internal readonly record struct InputLine(int Number, string Text);

/// <summary>Reads files that hold an item a line.</summary>
internal static class InputLines
{
    /// <summary>Reads the lines of a file as they are asked for.</summary>
    /// <param name="file">A path; <c>-</c> is the standard input.</param>
    /// <param name="standardInput">The standard input.</param>
    /// <exception cref="IOException">The file cannot be read, or is not UTF-8.</exception>
    public static IEnumerable<InputLine> Read(string file, TextReader standardInput)
    {
        using var opened = file == "-" ? null : Open(file);
        for (int number = 1; ReadLine(opened ?? standardInput, file, number) is { } line; number++)
            yield return new InputLine(number, line);
    }

    /// <summary>How errors call the file.</summary>
    public static string NameOf(string file) => file == "-" ? "standard input" : file;

    private static StreamReader Open(string file)
    {
        try
        {
            return new StreamReader(file, new UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (ArgumentException e)
        {
            throw new IOException($"'{file}' is not a path: {e.Message}", e);
        }
    }

    private static string? ReadLine(TextReader reader, string file, int number)
    {
        try
        {
            return reader.ReadLine();
        }
        catch (DecoderFallbackException e)
        {
            throw new IOException($"{NameOf(file)}: not UTF-8 in or after line {number}", e);
        }
    }
}
