namespace IlgpuLlm.Tests.Golden;

/// <summary>The zoo with a KV cache of 8-bit codes, and of halves beside float32 weights, against Transformers in float32.</summary>
[TestClass]
public sealed class KvCacheGoldenTests
{
    // Logits of these random models reach 9. A code is off by up to 1/254 of its head's largest element, a half by up to 1/2048 of itself; measured: at most
    // 0.20 and 0.008, of 54 prompts the median of codes is 0.06.
    private const double CodesTolerance = 0.25, HalvesTolerance = 0.01;

    public static IEnumerable<string> Models => ZooFolders.Floats;

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_CodesOnTheCpu_AreNear(string model) => Check(model, "cpu", "int8", CodesTolerance, int.MaxValue);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_HalvesOnTheCpu_AreNear(string model) => Check(model, "cpu", "fp16", HalvesTolerance, int.MaxValue);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_CodesOnIlgpu_AreNear(string model) => Check(model, GoldenDevice.Ilgpu, "int8", CodesTolerance, GoldenDevice.MaxPromptLength);

    // Activations are halves there, too, where the model's sizes suit tensor cores.
    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_CodesInFloat16OnCuda_AreNear(string model)
    {
        if (!GoldenDevice.IsCuda)
            Assert.Inconclusive("skipped: needs a CUDA device");
        ZooGolden.CheckLogits(model, GoldenDevice.Ilgpu, "float16", 0.3, int.MaxValue, "int8");
    }

    private static void Check(string model, string device, string kvCacheDtype, double tolerance, int maxPromptLength)
    {
        ZooGolden.CheckLogits(model, device, "float32", tolerance, maxPromptLength, kvCacheDtype);
        ZooGolden.CheckGreedy(model, device, "float32", 2 * tolerance, maxPromptLength, kvCacheDtype);
    }
}
