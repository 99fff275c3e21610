using System.Globalization;
using System.Text.RegularExpressions;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Execution;

[TestClass]
public sealed class MemoryPlannerTests
{
    // 1 MiB holds the weights (0.3 MiB) and a small step.
    private const long MemoryBytes = 1 << 20;

    [TestMethod]
    [DataRow(100_000, 1, 64, "max-num-batched-tokens")]
    [DataRow(1, 10_000, 64, "max-num-seqs")]
    [DataRow(2000, 10_000, 64, null)]
    [DataRow(1, 1, 200_000, "max-model-len")]
    public void Plan_WorkspaceBeyondMemory_NamesASettingThatFits(int maxTokens, int maxSeqs, int maxModelLen, string? setting)
    {
        var options = new EngineOptions { MaxNumBatchedTokens = maxTokens, MaxNumSeqs = maxSeqs, MaxModelLen = maxModelLen };
        string message = Plan(options);
        if (setting is null)
        {
            StringAssert.StartsWith(message, "weights and workspace do not fit; max-num-batched-tokens, max-num-seqs and max-model-len would have to be smaller");
            return;
        }
        var match = Regex.Match(message, $"weights and workspace do not fit; {setting} \\d+ would have to be at most (\\d+)");
        Assert.IsTrue(match.Success, message);
        int fits = int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        Assert.IsTrue(fits > 0);
        Assert.IsFalse(WorkspaceRefused(fits), $"{setting} {fits} fits");
        Assert.IsTrue(WorkspaceRefused(fits + 1), $"{setting} {fits + 1} does not");

        bool WorkspaceRefused(int value) => Plan(setting switch
        {
            "max-num-seqs" => options with { MaxNumSeqs = value },
            "max-model-len" => options with { MaxModelLen = value },
            _ => options with { MaxNumBatchedTokens = value },
        }).StartsWith("weights and workspace", StringComparison.Ordinal);
    }

    [TestMethod]
    public void Plan_CacheThatIsWidened_CountsALayerOfHalvesAsWorkspace()
    {
        var options = new EngineOptions { MaxNumBatchedTokens = 16, MaxNumSeqs = 4, MaxModelLen = 64 };
        MemoryPlan plain = Plan(options with { NumBlocksOverride = 8 }, ElementType.U8, widensCache: false);
        MemoryPlan widened = Plan(options with { NumBlocksOverride = 8 }, ElementType.U8, widensCache: true);
        var attention = Describe().Shape.Attention;
        Assert.AreEqual(2L * 16 * attention.KvWidth * 2, widened.BlockWorkspaceBytes, "keys and values of 16 tokens in one layer, two bytes each");
        Assert.AreEqual(0, plain.BlockWorkspaceBytes);
        Assert.AreEqual(8 * widened.BlockWorkspaceBytes, widened.WorkspaceBytes - plain.WorkspaceBytes);
        Assert.AreEqual(plain.BlockBytes, widened.BlockBytes);

        // What is planned by itself is within the budget, and a block more than what is named as the most does not fit.
        MemoryPlan most = Plan(options with { MaxNumSeqs = 64 }, ElementType.U8, widensCache: true);
        Assert.IsTrue(most.TotalBytes <= most.BudgetBytes && most.NumBlocks is > 16 and < 64 * 64 / 16, $"{most}");
        var error = Assert.ThrowsExactly<ModelDoesNotFitException>(() => Plan(options with { NumBlocksOverride = 1 << 20 }, ElementType.U8, widensCache: true));
        var match = Regex.Match(error.Message, "the largest that does has (\\d+) blocks, (\\d+) bytes");
        Assert.IsTrue(match.Success, error.Message);
        int fits = int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        Plan(options with { NumBlocksOverride = fits }, ElementType.U8, widensCache: true);
        Assert.ThrowsExactly<ModelDoesNotFitException>(() => Plan(options with { NumBlocksOverride = fits + 1 }, ElementType.U8, widensCache: true));
    }

    /// <summary>The error's message; empty if it fits.</summary>
    private static string Plan(EngineOptions options)
    {
        try
        {
            Plan(options, ElementType.F32, widensCache: false);
            return "";
        }
        catch (ModelDoesNotFitException e)
        {
            return e.Message;
        }
    }

    private static MemoryPlan Plan(EngineOptions options, ElementType kvCache, bool widensCache)
    {
        var (config, description, shape) = Describe();
        using var backend = new FakeBackend { MemoryBytes = MemoryBytes, WidensCaches = widensCache };
        return MemoryPlanner.Plan(backend, config, description, shape with { KvCache = kvCache }, LayerForms.Read(new DummyWeightSource(), config), options);
    }

    private static (ModelConfig Config, ModelDescription Description, ModelShape Shape) Describe()
    {
        var config = ModelConfigReader.Read(TestData.Committed("zoo", "llama-gqa", "config.json")) with { MaxPositionEmbeddings = 1 << 20 };
        var description = ModelDescription.Llama(config);
        return (config, description, LlamaModel.ShapeOf(config, description, ElementType.F32));
    }
}
