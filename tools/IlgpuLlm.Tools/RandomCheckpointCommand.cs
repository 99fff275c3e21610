using System.CommandLine;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Tools;

/// <summary><c>random-checkpoint</c>: writes a random model of a given size, to measure the time and memory that loading takes.</summary>
internal static class RandomCheckpointCommand
{
    public static Command Create()
    {
        var output = new Option<DirectoryInfo>("--out") { Description = "The folder to write; made if it is absent.", Required = true };
        var size = new Option<double>("--size-gb") { Description = "About how many GB (10^9 bytes) the weights take.", DefaultValueFactory = _ => 1 };
        var dtype = new Option<string>("--dtype") { Description = "The type of the weights.", DefaultValueFactory = _ => "float16" };
        dtype.AcceptOnlyFromAmong("float32", "float16", "bfloat16");
        var architecture = new Option<string>("--arch") { Description = "The architecture.", DefaultValueFactory = _ => "llama" };
        architecture.AcceptOnlyFromAmong("llama", "mistral");
        var seed = new Option<ulong>("--seed") { Description = "The seed of the weights." };
        var shardSize = new Option<double?>("--shard-gb") { Description = "Write shards of at most about this size and an index; default: one file." };
        var tokenizer = new Option<DirectoryInfo?>("--tokenizer") { Description = "A folder whose tokenizer and vocabulary size are taken over." };
        size.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (>= 0.001 and <= 10_000))
                result.AddError("--size-gb must be from 0.001 to 10000");
        });
        shardSize.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double?>() is not (null or >= 0.0001))
                result.AddError("--shard-gb must be at least 0.0001");
        });

        var command = new Command("random-checkpoint", "Writes a random checkpoint in Hugging Face layout.")
        {
            output, size, dtype, architecture, seed, shardSize, tokenizer,
        };
        command.SetAction(arguments =>
        {
            var type = arguments.GetValue(dtype) switch
            {
                "float32" => ElementType.F32,
                "bfloat16" => ElementType.BF16,
                _ => ElementType.F16,
            };
            string folder = arguments.GetRequiredValue(output).FullName;
            var checkpoint = new RandomCheckpoint(folder, arguments.GetValue(architecture)!, type, arguments.GetValue(seed));
            long shardBytes = arguments.GetValue(shardSize) is { } gigabytes ? (long)(gigabytes * 1e9) : long.MaxValue;
            Console.WriteLine(checkpoint.Write((long)(arguments.GetValue(size) * 1e9), shardBytes, arguments.GetValue(tokenizer)?.FullName));
        });
        return command;
    }
}
