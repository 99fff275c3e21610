using System.Diagnostics;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

[TestClass]
public sealed class EngineAllocationTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public async Task Step_SteadyDecodeOnTheCpu_AllocatesNothing(int numThreads)
    {
        using var model = new TempModel("llama-gqa", ("max_position_embeddings", 4096));
        string tools = Path.Combine(TestData.Root, "tools", "IlgpuLlm.Tools", "bin", BuildConfiguration, "net10.0", "ilgpullm-tools.dll");
        if (!File.Exists(tools))
            Assert.Inconclusive($"skipped: {tools} is absent (packed tests)");
        using var process = Process.Start(new ProcessStartInfo("dotnet", ["exec", tools, "step-allocations", "--model", model.Folder, "--threads", $"{numThreads}", "--steps", "1000"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string output = await process.StandardOutput.ReadToEndAsync(), errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.AreEqual(0, process.ExitCode, errors);
        Assert.AreEqual("0", output.Trim(), "bytes allocated by 1,000 steps, all threads");
    }

#if DEBUG
    private const string BuildConfiguration = "Debug";
#else
    private const string BuildConfiguration = "Release";
#endif
}
