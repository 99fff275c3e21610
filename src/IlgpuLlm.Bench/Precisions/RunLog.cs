using System.Globalization;
using System.Text;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>The log of a run, to a file and to a writer, in lines as Python's logging makes them: <c>2024-05-01 12:34:56,789 - INFO - message</c>.</summary>
internal sealed class RunLog : IDisposable
{
    private readonly StreamWriter _file;
    private readonly TextWriter _echo;
    private readonly TimeProvider _time;

    /// <summary>Opens the log.</summary>
    /// <param name="path">The file; lines are added to one that exists.</param>
    /// <param name="echo">Gets the same lines.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="BenchException">The file cannot be written.</exception>
    public RunLog(string path, TextWriter echo, TimeProvider time)
    {
        _file = Files.Try(path, "the log cannot be written", () => new StreamWriter(path, append: true, new UTF8Encoding(false)) { AutoFlush = true });
        _echo = echo;
        _time = time;
    }

    /// <summary>Writes a line.</summary>
    public void Info(string message) => Write("INFO", message);

    /// <summary>Writes a line about what went wrong.</summary>
    public void Error(string message) => Write("ERROR", message);

    public void Dispose() => _file.Dispose();

    private void Write(string level, string message)
    {
        string time = _time.GetLocalNow().ToString("yyyy-MM-dd HH:mm:ss,fff", CultureInfo.InvariantCulture);
        string line = $"{time} - {level} - {message.ReplaceLineEndings(" ")}";
        _file.WriteLine(line);
        _echo.WriteLine(line);
    }
}
