using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using IlgpuLlm.Cli.Output;
using Spectre.Console;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench latency|throughput|serve|kernels|precisions</c>: measures the engine and its kernels.</summary>
internal static class BenchCommand
{
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console) =>
        new("bench", "Measures the engine (latency, throughput, serve), single operations (kernels), or a model in all precisions (precisions).")
        {
            BenchLatencyCommand.Create(console), BenchThroughputCommand.Create(console), BenchServeCommand.Create(console), BenchKernelsCommand.Create(console),
            BenchPrecisionsCommand.Create(console),
        };

    /// <summary>Prints results: a JSON object each, or a table.</summary>
    internal static void Write<T>(CliConsole console, bool json, IReadOnlyList<T> results, params (string Column, Func<T, object?> Value)[] columns)
    {
        if (json)
        {
            foreach (var result in results)
                console.Out.WriteLine(JsonSerializer.Serialize(result, SnakeCase));
            return;
        }
        var table = new Table().AddColumns([.. columns.Select(c => c.Column)]);
        foreach (var result in results)
            table.AddRow([.. columns.Select(c => Text(c.Value(result)))]);
        SpectreConsoles.ForOut(console).Write(table);
    }

    private static string Text(object? value) => value switch
    {
        null => "-",
        double number => number.ToString("N2", CultureInfo.InvariantCulture),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
