using System.Text;
using Spectre.Console;

namespace IlgpuLlm.Cli.Output;

/// <summary>Spectre.Console on the program's streams: escape sequences on terminals only, colours unless NO_COLOR forbids them.</summary>
internal static class SpectreConsoles
{
    // Wide enough that no line of a table breaks in a file.
    private const int RedirectedWidth = 400;

    /// <summary>For stderr.</summary>
    public static IAnsiConsole ForError(CliConsole console) => Create(console.Error, console.IsErrorTerminal, console.AllowColors);

    /// <summary>For stdout.</summary>
    public static IAnsiConsole ForOut(CliConsole console) => Create(console.Out, console.IsOutTerminal, console.AllowColors);

    private static IAnsiConsole Create(TextWriter writer, bool isTerminal, bool allowColors) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
        ColorSystem = isTerminal && allowColors ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
        Interactive = isTerminal ? InteractionSupport.Yes : InteractionSupport.No,
        Out = new WriterOutput(writer, isTerminal),
    });

    private sealed class WriterOutput(TextWriter writer, bool isTerminal) : IAnsiConsoleOutput
    {
        public TextWriter Writer => writer;

        public bool IsTerminal => isTerminal;

        public int Width => isTerminal && Console.BufferWidth is > 0 and var width ? width : RedirectedWidth;

        public int Height => isTerminal && Console.BufferHeight is > 0 and var height ? height : 24;

        public void SetEncoding(Encoding encoding)
        {
            // The program's streams are UTF-8.
        }
    }
}
