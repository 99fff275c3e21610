using System.Text;
using Microsoft.Win32.SafeHandles;

namespace IlgpuLlm.Cli;

/// <summary>The three streams of the program, all UTF-8 without a byte order mark, and what is known of them. Tests bring their own.</summary>
internal sealed class CliConsole
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>UTF-8; bytes that are not fail with <see cref="DecoderFallbackException"/>.</summary>
    public required TextReader In { get; init; }

    /// <summary>Results. Buffered: flush what should be seen.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Everything that is not a result.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Whether a person sees <see cref="Out"/>.</summary>
    public bool IsOutTerminal { get; init; }

    /// <summary>Whether a person sees <see cref="Error"/>.</summary>
    public bool IsErrorTerminal { get; init; }

    /// <summary>Whether a person writes <see cref="In"/>.</summary>
    public bool IsInTerminal { get; init; }

    /// <summary>What Ctrl-C does.</summary>
    public Interrupts Interrupts { get; init; } = new();

    /// <summary>Whether colours are welcome on a terminal (https://no-color.org).</summary>
    public bool AllowColors { get; init; }

    /// <summary>The process's own streams.</summary>
    public static CliConsole OfProcess() => new()
    {
        In = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false, throwOnInvalidBytes: true)),
        Out = new StreamWriter(OpenStandardOutput(), Utf8),
        Error = new StreamWriter(Console.OpenStandardError(), Utf8) { AutoFlush = true },
        IsOutTerminal = !Console.IsOutputRedirected,
        IsErrorTerminal = !Console.IsErrorRedirected,
        IsInTerminal = !Console.IsInputRedirected,
        AllowColors = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")),
    };

    /// <summary>Whether a write failed because the reader of the pipe has gone (EPIPE is 32 on Linux and macOS).</summary>
    public static bool IsBrokenPipe(IOException error) => !OperatingSystem.IsWindows() && error.HResult == 32;

    // Console's stream takes EPIPE for success, and the program would generate text for nobody. A file stream reports it, but writes seekable
    // files at an offset of its own, which goes wrong with `> log 2>&1`; so it is used for pipes only.
    private static Stream OpenStandardOutput()
    {
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
            return Console.OpenStandardOutput();
        FileStream? stream = null;
        try
        {
            stream = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            if (!stream.CanSeek)
                return stream;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // Closed, or of a kind that file streams refuse: Console's stream reports that at the first write.
        }
        stream?.Dispose();
        return Console.OpenStandardOutput();
    }
}
