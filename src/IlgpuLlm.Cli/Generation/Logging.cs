using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace IlgpuLlm.Cli.Generation;

/// <summary>Logs for --verbose. Not touched otherwise: the console logger takes a tenth of a second to start.</summary>
internal static class Logging
{
    /// <summary>Makes loggers that write a line a message to the process's stderr.</summary>
    public static ILoggerFactory Create(CliConsole console) => LoggerFactory.Create(builder => builder
        .SetMinimumLevel(LogLevel.Debug)
        .AddConsole(options => options.LogToStandardErrorThreshold = LogLevel.Trace)
        .AddSimpleConsole(options =>
        {
            options.SingleLine = true;
            options.ColorBehavior = console.IsErrorTerminal && console.AllowColors ? LoggerColorBehavior.Enabled : LoggerColorBehavior.Disabled;
        }));
}
