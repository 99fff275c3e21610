using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class DummyWeightSourceTests
{
    [TestMethod]
    public void LoadRows_FusedWeight_IsFilledOnce()
    {
        using var source = new DummyWeightSource(seed: 7);
        var qkv = new FakeLinearWeight(6, 4, hasBias: true);
        var other = new FakeLinearWeight(6, 4);
        source.LoadRows("model.layers.0.self_attn.q_proj.weight", qkv, 0, 2);
        source.LoadRows("model.layers.0.self_attn.k_proj.weight", qkv, 2, 2);
        source.LoadBias("model.layers.0.self_attn.k_proj.bias", qkv, 2, 2);
        source.LoadRows("model.layers.1.self_attn.q_proj.weight", other, 0, 2);
        Assert.HasCount(1, qkv.Fills);
        Assert.AreNotEqual(qkv.Fills[0].Seed, other.Fills[0].Seed);
        Assert.AreEqual(0.0346f, qkv.Fills[0].Amplitude, 1e-4f);
    }

    [TestMethod]
    public void LoadRows_SameSeed_SameFill()
    {
        var weights = new[] { new FakeLinearWeight(1, 1), new FakeLinearWeight(1, 1), new FakeLinearWeight(1, 1) };
        new DummyWeightSource(1).LoadRows("w", weights[0], 0, 1);
        new DummyWeightSource(1).LoadRows("w", weights[1], 0, 1);
        new DummyWeightSource(2).LoadRows("w", weights[2], 0, 1);
        Assert.AreEqual(weights[0].Fills[0], weights[1].Fills[0]);
        Assert.AreNotEqual(weights[0].Fills[0], weights[2].Fills[0]);
    }

    [TestMethod]
    public void LoadVector_Norm_IsOnes()
    {
        using var source = new DummyWeightSource();
        var backend = new FakeBackend();
        using var buffer = backend.Allocate(Kernels.ElementType.F32, 3);
        source.LoadVector("model.norm.weight", backend, buffer);
        var values = new float[3];
        backend.Download(buffer, values);
        Assert.AreSequenceEqual([1f, 1, 1], values);
        source.VerifyAllUsed([]);
        Assert.IsTrue(source.Contains("anything"));
    }
}
