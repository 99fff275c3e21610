using System.Text.Json;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests;

/// <summary>What Transformers made of the demo model's prompts, greedily.</summary>
internal sealed record DemoGolden(string Text, int[] Ids, int[] Greedy, string GreedyText)
{
    /// <summary>All prompts.</summary>
    public static DemoGolden[] All { get; } = [.. TestData.Json(TestData.Committed("demo", "golden.json")).GetProperty("prompts").EnumerateArray().Select(Read)];

    /// <summary>"Once upon a time".</summary>
    public static DemoGolden First => All[0];

    /// <summary>The options under which the golden file was made. Float32: its weights are widened, its arithmetic is that of float32.</summary>
    public static string[] Options { get; } = ["--device", "cpu", "--dtype", "float32", "--temperature", "0", "--ignore-eos", "--max-tokens", "64"];

    private static DemoGolden Read(JsonElement prompt) => new(prompt.GetProperty("text").GetString()!, Ids32(prompt, "ids"), Ids32(prompt, "greedy"),
        prompt.GetProperty("greedy_text").GetString()!);

    private static int[] Ids32(JsonElement prompt, string name) => [.. prompt.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
}
