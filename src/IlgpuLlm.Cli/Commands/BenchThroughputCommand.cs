using System.CommandLine;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench throughput</c>: many requests.</summary>
internal static class BenchThroughputCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var engine = new EngineOptionSet();
        var numPrompts = OptionFactory.Number<int>("--num-prompts", "N", "Requests. Default: 1000.");
        var inputLen = OptionFactory.Number<int>("--input-len", "N", "Prompt tokens of each. Default: 128.");
        var outputLen = OptionFactory.Number<int>("--output-len", "N", "New tokens of each. Default: 128.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object.");
        var command = new Command("throughput", "Many random requests, all at once; prefill is in all rates.") { numPrompts, inputLen, outputLen, json };
        engine.AddTo(command);
        command.SetAction((parse, cancellationToken) => Task.Run(() =>
        {
            var options = engine.Read(parse);
            double copy = CopyBandwidth.Measure(options);
            using var llm = new LLM(options);
            var result = ThroughputBenchmark.Run(
                llm, parse.GetValue(numPrompts) ?? 1000, parse.GetValue(inputLen) ?? 128, parse.GetValue(outputLen) ?? 128, copy, cancellationToken);
            BenchCommand.Write(console, parse.GetValue(json), [result],
                ("requests", r => r.NumPrompts), ("in", r => r.InputLen), ("out", r => r.OutputLen), ("seconds", r => r.ElapsedSeconds),
                ("requests/s", r => r.RequestsPerSecond), ("total tok/s", r => r.TotalTokensPerSecond), ("output tok/s", r => r.OutputTokensPerSecond),
                ("steps", r => r.NumSteps), ("GB/s", r => r.GigabytesPerSecond), ("% of copy", r => r.PercentOfCopy), ("copy GB/s", r => r.CopyGigabytesPerSecond));
            return ExitCode.Success;
        }, cancellationToken));
        return command;
    }
}
