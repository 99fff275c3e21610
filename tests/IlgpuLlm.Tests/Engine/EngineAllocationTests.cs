using System.Diagnostics;
using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Tests.Golden;
using IlgpuLlm.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

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

    [TestMethod]
    [DataRow("cpu", "llama-gqa", "float32", false)]
    [DataRow("cuda", "llama-gqa", "float32", false)]
    [DataRow("cuda", null, "float16", false)]
    [DataRow("cuda", null, "float16", true)]
    [DataRow("cpu", "llama-gqa", "float16", false, "int8")]
    [DataRow("cuda", null, "float16", false, "int8")]
    [DataRow("cuda", null, "float16", true, "int8")]
    [DataRow("cuda", null, "float32", false, "int8")]
    public void Step_SteadyDecode_AllocatesNeitherManagedMemoryNorBuffers(
        string device, string? zooModel, string dtype, bool batchInvariant, string kvCacheDtype = "auto")
    {
        if (device == "cuda" && !GoldenDevice.IsCuda)
            Assert.Inconclusive("skipped: needs a CUDA device");
        const int NumSequences = 6, NumWarmUpSteps = 400, NumSteps = 400;
        using var model = zooModel is null ? null : new TempModel(zooModel, ("max_position_embeddings", 1024));
        using var engine = EngineBuilder.Build(new EngineOptions
        {
            Model = model?.Folder,
            Device = device == "cuda" ? GoldenDevice.Ilgpu : device,
            DType = dtype,
            KvCacheDtype = kvCacheDtype,
            BatchInvariant = batchInvariant,
            NumThreads = 1, // all is done by this thread
            MaxNumSeqs = NumSequences,
        }, NullLogger.Instance);
        SamplingParams[] kinds = [new() { Temperature = 0 }, new() { TopK = 20 }, new() { TopP = 0.9f }, new() { MinP = 0.05f }, new() { RepetitionPenalty = 1.1f }, new()];
        for (int i = 0; i < NumSequences; i++)
            engine.Add(engine.Inputs.Process($"{i}", Prompt.FromTokens([1, 5 + i]), kinds[i] with { MaxTokens = 1000, IgnoreEos = true, Seed = i }), 0);
        for (int step = 0; step < NumWarmUpSteps; step++)
            engine.Core.Step();
        var backend = ((ModelRunner)engine.Core.ModelRunner).Backend;
        long numAllocations = backend.NumAllocations, before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < NumSteps; step++)
            engine.Core.Step();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.AreEqual(NumSequences, engine.Core.Scheduler.NumRunning, "all decode all the time");
        Assert.AreEqual((0L, 0L), (allocated, backend.NumAllocations - numAllocations), "managed bytes and buffers");
    }

#if DEBUG
    private const string BuildConfiguration = "Debug";
#else
    private const string BuildConfiguration = "Release";
#endif
}
