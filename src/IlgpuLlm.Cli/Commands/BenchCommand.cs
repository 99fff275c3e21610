using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;
using Spectre.Console;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench latency|kernels</c>: measures the engine and its kernels.</summary>
internal static class BenchCommand
{
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console) =>
        new("bench", "Measures the engine (latency) or single operations (kernels).") { Latency(console), Kernels(console) };

    private static Command Latency(CliConsole console)
    {
        var engine = new EngineOptionSet();
        var batchSize = OptionFactory.Number<int>("--batch-size", "N", "Sequences. Default: 1.");
        var inputLen = OptionFactory.Number<int>("--input-len", "N", "Prompt tokens of each. Default: 32.");
        var outputLen = OptionFactory.Number<int>("--output-len", "N", "New tokens of each. Default: 128.");
        var warmup = OptionFactory.Number<int>("--num-iters-warmup", "N", "Runs that do not count. Default: 1.");
        var iters = OptionFactory.Number<int>("--num-iters", "N", "Runs that count; the median is reported. Default: 5.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object.");
        var command = new Command("latency", "One batch of random prompts, all at once.") { batchSize, inputLen, outputLen, warmup, iters, json };
        engine.AddTo(command);
        command.SetAction(parse =>
        {
            using var llm = new LLM(engine.Read(parse));
            var result = LatencyBenchmark.Run(llm, parse.GetValue(batchSize) ?? 1, parse.GetValue(inputLen) ?? 32, parse.GetValue(outputLen) ?? 128,
                parse.GetValue(warmup) ?? 1, parse.GetValue(iters) ?? 5);
            Write(console, parse.GetValue(json), [result],
                ["sequences", "in", "out", "prefill tok/s", "TTFT ms", "decode tok/s", "step ms", "weights GB/s", "KV GB/s"],
                r => [r.BatchSize, r.InputLen, r.OutputLen, r.PrefillTokensPerSecond, r.TimeToFirstTokenMs, r.DecodeTokensPerSecond, r.StepMs,
                    r.WeightGigabytesPerSecond, r.KvGigabytesPerSecond]);
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Kernels(CliConsole console)
    {
        var engine = new EngineOptionSet();
        var batchSize = OptionFactory.Number<int>("--batch-size", "N", "Tokens, one a sequence. Default: 1.");
        var contextLen = OptionFactory.Number<int>("--context-len", "N", "Tokens of each sequence in the cache. Default: 1024.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object an operation.");
        var command = new Command("kernels", "Each operation of a decode step alone, on random weights; only config.json is read.") { batchSize, contextLen, json };
        engine.AddTo(command);
        command.SetAction(parse =>
        {
            var results = KernelBenchmark.Run(engine.Read(parse), parse.GetValue(batchSize) ?? 1, parse.GetValue(contextLen) ?? 1024);
            Write(console, parse.GetValue(json), results, ["operation", "rows", "us", "GB/s", "TFLOP/s"],
                r => [r.Name, r.NumRows, r.Microseconds, r.GigabytesPerSecond, r.Teraflops]);
            return ExitCode.Success;
        });
        return command;
    }

    private static void Write<T>(CliConsole console, bool json, IReadOnlyList<T> results, string[] columns, Func<T, object[]> row)
    {
        if (json)
        {
            foreach (var result in results)
                console.Out.WriteLine(JsonSerializer.Serialize(result, SnakeCase));
            return;
        }
        var table = new Table().AddColumns(columns);
        foreach (var result in results)
            table.AddRow([.. row(result).Select(v => v is double d ? d.ToString("N2", CultureInfo.InvariantCulture) : Convert.ToString(v, CultureInfo.InvariantCulture)!)]);
        SpectreConsoles.ForOut(console).Write(table);
    }
}
