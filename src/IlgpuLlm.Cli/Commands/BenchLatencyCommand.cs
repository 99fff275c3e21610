using System.CommandLine;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench latency</c>: one batch.</summary>
internal static class BenchLatencyCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
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
        command.SetAction((parse, cancellationToken) => Task.Run(() =>
        {
            var options = engine.Read(parse);
            double copy = CopyBandwidth.Measure(options);
            using var llm = new LLM(options);
            var result = LatencyBenchmark.Run(llm, parse.GetValue(batchSize) ?? 1, parse.GetValue(inputLen) ?? 32, parse.GetValue(outputLen) ?? 128,
                parse.GetValue(warmup) ?? 1, parse.GetValue(iters) ?? 5, copy, cancellationToken);
            // A device that does not run beside its host hides nothing of it.
            (string, Func<LatencyResult, object?>)[] host = result.UnhiddenHostMs is null
                ? []
                : [("host not hidden ms", r => r.UnhiddenHostMs), ("% of step", r => r.UnhiddenHostPercent)];
            BenchCommand.Write(console, parse.GetValue(json), [result],
            [
                ("sequences", r => r.BatchSize), ("in", r => r.InputLen), ("out", r => r.OutputLen),
                ("prefill tok/s", r => r.PrefillTokensPerSecond), ("TTFT ms", r => r.TimeToFirstTokenMs), ("TFLOP/s", r => r.PrefillTeraflops),
                ("prefill GB/s", r => r.PrefillGigabytesPerSecond), ("% of copy", r => r.PrefillPercentOfCopy),
                ("decode tok/s", r => r.DecodeTokensPerSecond), ("step ms", r => r.StepMs), ("weights GB/s", r => r.WeightGigabytesPerSecond),
                ("KV GB/s", r => r.KvGigabytesPerSecond), ("% of copy", r => r.DecodePercentOfCopy), .. host, ("copy GB/s", r => r.CopyGigabytesPerSecond),
            ]);
            return ExitCode.Success;
        }, cancellationToken));
        return command;
    }
}
