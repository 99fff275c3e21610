using System.CommandLine;
using System.Globalization;
using IlgpuLlm.Cli.Input;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;
using IlgpuLlm.Quantization;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm quantize</c>: a model of floats to 4 or 8 bits.</summary>
internal static class QuantizeCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console, Option<bool> verbose)
    {
        var model = CommonOptions.CreateModel();
        var output = OptionFactory.Text("--out", "DIR", "The folder to write, in Hugging Face layout; it must be empty or not exist.");
        output.Required = true;
        var method = OptionFactory.Text("--method", "METHOD", "awq (activation-aware scales and ranges) or rtn (round to nearest). Default: awq.");
        var bits = OptionFactory.Number<int>("--bits", "N", "4 (AWQ's GEMM layout), or 8 (GPTQ's layout; rtn only). Default: 4.");
        var groupSize = OptionFactory.Number<int>("--group-size", "N", "Inputs that share a scale: 32, 64, 128, or -1, all of a row. Default: 128.");
        var calibration = OptionFactory.Text("--calibration", "FILE",
            "A text, UTF-8, that the model's inputs are measured on; - is the standard input. Default: the model's own texts, sampled with fixed seeds.");
        var sequences = OptionFactory.Number<int>("--calibration-sequences", "N", "Most sequences of the calibration. Default: 128.");
        var length = OptionFactory.Number<int>("--calibration-len", "N", "Tokens of each. Default: 512.");
        var device = CommonOptions.CreateDevice();
        var threads = CommonOptions.CreateThreads();
        var command = new Command("quantize", "Quantizes a model of floats to a folder that this and other engines load.")
        {
            model, output, method, bits, groupSize, calibration, sequences, length, device, threads,
        };
        command.SetAction(async (parse, cancellationToken) =>
        {
            var defaults = new QuantizeOptions { Output = parse.GetValue(output)! };
            var options = defaults with
            {
                Model = parse.GetValue(model),
                Method = parse.GetValue(method) ?? defaults.Method,
                Bits = parse.GetValue(bits) ?? defaults.Bits,
                GroupSize = parse.GetValue(groupSize) ?? defaults.GroupSize,
                CalibrationSequences = parse.GetValue(sequences) ?? defaults.CalibrationSequences,
                CalibrationLength = parse.GetValue(length) ?? defaults.CalibrationLength,
                Device = parse.GetValue(device) ?? defaults.Device,
                NumThreads = parse.GetValue(threads) ?? defaults.NumThreads,
            };
            options.Validate();
            if (parse.GetValue(calibration) is { } file)
            {
                if (options.Method == "rtn")
                    throw new UsageException("--calibration has no meaning with --method rtn, which rounds to nearest");
                options = options with { CalibrationText = TextFile.Read(file, console.In) };
            }
            var result = await ProgressDisplay.RunAsync(console, "quantizing", parse.GetValue(verbose), report => Task.Run(
                () => ModelQuantizer.Run(options with { Progress = new SynchronousProgress<double>(report) }, cancellationToken), cancellationToken)).ConfigureAwait(false);
            console.Out.WriteLine(Describe(options, result));
            return ExitCode.Success;
        });
        return command;
    }

    private static string Describe(QuantizeOptions options, QuantizationResult result)
    {
        string calibrated = result.CalibrationTokens == 0 ? "" : FormattableString.Invariant($", calibrated on {result.CalibrationTokens} tokens");
        string padded = result.PaddedFeatures == 0 ? "" : FormattableString.Invariant($"; the MLP is {result.PaddedFeatures} zeros wider, a multiple of the group size");
        return string.Create(CultureInfo.InvariantCulture,
            $"{options.Output}: {options.Method}, {options.Bits} bits, groups of {options.GroupSize}, {result.ByteLength / 1e6:N1} MB{calibrated}, {result.Seconds:N1} s{padded}");
    }
}
