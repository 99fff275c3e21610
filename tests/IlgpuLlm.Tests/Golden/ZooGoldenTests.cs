namespace IlgpuLlm.Tests.Golden;

/// <summary>Every Llama and Mistral checkpoint of the zoo against Hugging Face Transformers in float32.</summary>
[TestClass]
public sealed class ZooGoldenTests
{
    private const double LogitTolerance = 2e-4;
    private const double SmallestGap = 1e-3; // greedy tokens are compared where the top two logits are further apart than this

    public static IEnumerable<string> Models => ZooFolders.Floats;

    [TestMethod]
    public void Zoo_IsComplete() => Assert.AreEqual(18, Models.Count());

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Cpu_MatchTransformers(string model) => CheckLogits(model, "cpu", maxPromptLength: int.MaxValue);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Cpu_MatchesTransformers(string model) => CheckGreedy(model, "cpu", maxPromptLength: int.MaxValue);

    // One thread a lane: only the short prompts there, on a GPU all of them.
    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Logits_Ilgpu_MatchTransformers(string model) => CheckLogits(model, GoldenDevice.Ilgpu, GoldenDevice.MaxPromptLength);

    [TestMethod]
    [DynamicData(nameof(Models))]
    public void Greedy_Ilgpu_MatchesTransformers(string model) => CheckGreedy(model, GoldenDevice.Ilgpu, GoldenDevice.MaxPromptLength);

    private static void CheckLogits(string model, string device, int maxPromptLength) =>
        ZooGolden.CheckLogits(model, device, "float32", LogitTolerance, maxPromptLength);

    private static void CheckGreedy(string model, string device, int maxPromptLength) =>
        Assert.IsTrue(ZooGolden.CheckGreedy(model, device, "float32", SmallestGap, maxPromptLength) > 0, "nothing to compare");
}
