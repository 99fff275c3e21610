using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using IlgpuLlm.Evaluation;

namespace IlgpuLlm.Tools;

/// <summary><c>compare-top1</c>: the likeliest next token of every position, ours against those that tools/hf_compare/top1.py stored.</summary>
internal static class CompareTop1Command
{
    private const double SmallestGap = 1e-3; // of the likeliest two logits, where a difference counts

    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model's folder.", Required = true };
        var expected = new Option<FileInfo>("--expected") { Description = "What top1.py wrote.", Required = true };
        var dtype = new Option<string>("--dtype") { Description = "float32 or float16.", DefaultValueFactory = _ => "float32" };
        dtype.AcceptOnlyFromAmong("float32", "float16");
        var device = new Option<string>("--device") { Description = "As of ilgpullm.", DefaultValueFactory = _ => "auto" };
        var batchedTokens = new Option<int>("--max-num-batched-tokens")
        {
            Description = "Tokens in a step; 1 runs the kernels of decode steps.",
            DefaultValueFactory = _ => 2048,
        };
        var least = new Option<double>("--at-least") { Description = "Fails below this agreement with float32 where the gap counts, in percent." };
        var command = new Command("compare-top1", "Prints on how many positions the likeliest token is Hugging Face's.") { model, expected, dtype, device, batchedTokens, least };
        command.SetAction(result => Compare(
            new EngineOptions
            {
                Model = result.GetValue(model)!,
                DType = result.GetValue(dtype)!,
                Device = result.GetValue(device)!,
                MaxNumBatchedTokens = result.GetValue(batchedTokens),
            },
            result.GetRequiredValue(expected).FullName, result.GetValue(least)));
        return command;
    }

    private static int Compare(EngineOptions options, string path, double least)
    {
        using var stream = File.OpenRead(path);
        var sequences = JsonSerializer.Deserialize<ExpectedFile>(stream)!.Sequences;
        int[][] ours = Top1(options with { MaxModelLen = sequences.Max(s => s.Ids.Length) + 1, MaxNumSeqs = sequences.Length }, sequences);
        double agreement = Print(options.DType, "float32", sequences, ours, s => s.Float32);
        if (sequences.All(s => s.Float16 is not null))
        {
            Print(options.DType, "float16", sequences, ours, s => s.Float16!);
            Print("Hugging Face's float16", "float32", sequences, [.. sequences.Select(s => s.Float16!.Top1)], s => s.Float32);
        }
        return agreement >= least ? 0 : 1;
    }

    /// <summary>The likeliest token after each token of each sequence.</summary>
    private static int[][] Top1(EngineOptions options, Sequence[] sequences)
    {
        using var llm = new LLM(options);
        return [.. new TokenScorer(llm).Score(sequences.Select(s => s.Ids)).Select(scores => (int[])[.. scores.Top1TokenIds])];
    }

    private static double Print(string name, string other, Sequence[] sequences, int[][] ours, Func<Sequence, Top1Values> expected)
    {
        int numAll = 0, numSame = 0, numClear = 0, numClearSame = 0;
        double worstGap = 0;
        for (int s = 0; s < sequences.Length; s++)
        {
            var (top1, gaps) = (expected(sequences[s]).Top1, sequences[s].Float32.Gap);
            if (top1.Length != ours[s].Length)
                throw new InvalidDataException($"sequence {s} has {top1.Length} expected tokens and {ours[s].Length} of ours");
            for (int i = 0; i < top1.Length; i++)
            {
                bool isSame = top1[i] == ours[s][i], isClear = gaps is null || gaps[i] > SmallestGap;
                numAll++;
                numSame += isSame ? 1 : 0;
                numClear += isClear ? 1 : 0;
                numClearSame += isSame && isClear ? 1 : 0;
                if (!isSame && gaps is not null)
                    worstGap = Math.Max(worstGap, gaps[i]);
            }
        }
        double agreement = 100.0 * numClearSame / Math.Max(1, numClear);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name} against Hugging Face's {other}: {numClearSame} of {numClear} positions with a gap above {SmallestGap} ({agreement:F2} %), {numSame} of all {numAll} ({100.0 * numSame / numAll:F2} %), largest gap of a difference {worstGap:G3}"));
        return agreement;
    }

    private sealed record ExpectedFile([property: JsonPropertyName("sequences")] Sequence[] Sequences);

    private sealed record Sequence(
        [property: JsonPropertyName("ids")] int[] Ids,
        [property: JsonPropertyName("float32")] Top1Values Float32,
        [property: JsonPropertyName("float16")] Top1Values? Float16);

    /// <param name="Top1">The likeliest token after each token.</param>
    /// <param name="Gap">How far the second one's logit is behind; null: far.</param>
    private sealed record Top1Values([property: JsonPropertyName("top1")] int[] Top1, [property: JsonPropertyName("gap")] double[]? Gap);
}
