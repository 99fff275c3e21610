using System.CommandLine;
using System.Globalization;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench kernels</c>: each operation alone.</summary>
internal static class BenchKernelsCommand
{
    private static readonly (string Column, Func<KernelResult, object?> Value)[] Columns =
        [("operation", r => r.Name), ("rows", r => r.NumRows), ("us", r => r.Microseconds), ("GB/s", r => r.GigabytesPerSecond)];

    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var engine = new EngineOptionSet();
        var batchSize = OptionFactory.Number<int>("--batch-size", "N", "Tokens, one a sequence. Default: 1.");
        var contextLen = OptionFactory.Number<int>("--context-len", "N", "Tokens of each sequence in the cache. Default: 1024.");
        var prefillLen = OptionFactory.Number<int>("--prefill-len", "N", "The operations of one prompt of so many tokens instead of a decode step's.");
        var linear = OptionFactory.Texts("--linear", "ROWSxOUTxIN", "A product of this size instead of the model's operations; repeatable.");
        var filter = OptionFactory.Text("--filter", "TEXT", "Only operations whose name contains it.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object an operation.");
        var command = new Command("kernels", "Each operation of a step alone, on random weights; only config.json is read.")
        {
            batchSize, contextLen, prefillLen, linear, filter, json,
        };
        engine.AddTo(command);
        command.SetAction(parse =>
        {
            var results = KernelBenchmark.Run(engine.Read(parse), new KernelBenchmarkOptions
            {
                NumRows = parse.GetValue(batchSize) ?? 1,
                ContextLen = parse.GetValue(contextLen) ?? 1024,
                PrefillLen = parse.GetValue(prefillLen),
                LinearShapes = [.. (parse.GetValue(linear) ?? []).Select(ParseShape)],
                Filter = parse.GetValue(filter),
            });
            bool isJson = parse.GetValue(json);
            if (results.FirstOrDefault()?.CpuPeak is not { } peak)
            {
                BenchCommand.Write(console, isJson, results, [.. Columns, ("% of copy", r => r.PercentOfCopy), ("TFLOP/s", r => r.Teraflops), ("% of peak", r => r.PercentOfPeak)]);
                return ExitCode.Success;
            }
            if (!isJson)
            {
                console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"peak: multiply-add {peak.Gigaflops:F1} GFLOP/s, read {peak.ReadGigabytesPerSecond:F1} GB/s, triad {peak.TriadGigabytesPerSecond:F1} GB/s, an empty job of all threads {peak.JobMicroseconds:F2} us"));
            }
            BenchCommand.Write(console, isJson, results, [.. Columns, ("% of read", r => r.PercentOfRead), ("GFLOP/s", r => r.Teraflops * 1e3), ("% of peak", r => r.PercentOfPeak)]);
            return ExitCode.Success;
        });
        return command;
    }

    private static (int NumRows, int OutFeatures, int InFeatures) ParseShape(string text)
    {
        string[] parts = text.Split('x');
        int Number(int index) => int.TryParse(parts[index], NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw new UsageException($"--linear: '{text}' is not a shape such as 512x4096x4096");
        return parts.Length == 3 ? (Number(0), Number(1), Number(2)) : throw new UsageException($"--linear: '{text}' is not a shape such as 512x4096x4096");
    }
}
