namespace IlgpuLlm.Tests.Golden;

/// <summary>Every AWQ and GPTQ checkpoint of the zoo against Hugging Face Transformers in float32 on the dequantised weights.</summary>
[TestClass]
public sealed class QuantizedZooGoldenTests
{
    // Codes are dequantised exactly and multiplied as floats on the CPU; tensor cores take activations rounded to halves.
    private const double CpuTolerance = 2e-4;
    private const double CudaTolerance = 3e-2;

    public static IEnumerable<string> Models => ZooFolders.Quantized;

    [TestMethod]
    public void Zoo_IsComplete() => Assert.AreEqual(5, Models.Count());

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Cpu_MatchTransformers(string model) => ZooGolden.CheckLogits(model, "cpu", "float32", CpuTolerance, int.MaxValue);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Cpu_MatchesTransformers(string model) =>
        Assert.AreEqual(3, ZooGolden.CheckGreedy(model, "cpu", "float32", 2 * CpuTolerance, int.MaxValue), "prompts whose tokens are told apart");

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void LogitsAndGreedy_Cuda_MatchTransformers(string model)
    {
        if (!GoldenDevice.IsCuda)
            Assert.Inconclusive("skipped: no CUDA device");
        ZooGolden.CheckLogits(model, GoldenDevice.Ilgpu, "float16", CudaTolerance, int.MaxValue);
        ZooGolden.CheckGreedy(model, GoldenDevice.Ilgpu, "float16", 2 * CudaTolerance, int.MaxValue);
    }
}
