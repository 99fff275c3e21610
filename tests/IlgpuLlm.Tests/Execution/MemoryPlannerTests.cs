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

    /// <summary>The error's message; empty if it fits.</summary>
    private static string Plan(EngineOptions options)
    {
        var config = ModelConfigReader.Read(TestData.Committed("zoo", "llama-gqa", "config.json")) with { MaxPositionEmbeddings = 1 << 20 };
        using var backend = new FakeBackend { MemoryBytes = MemoryBytes };
        try
        {
            var description = ModelDescription.Llama(config);
            var shape = LlamaModel.ShapeOf(config, description, ElementType.F32);
            MemoryPlanner.Plan(backend, config, description, shape, LayerForms.Read(new DummyWeightSource(), config), options);
            return "";
        }
        catch (ModelDoesNotFitException e)
        {
            return e.Message;
        }
    }
}
