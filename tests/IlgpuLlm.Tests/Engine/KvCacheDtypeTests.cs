using IlgpuLlm.Kernels;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Engine;

/// <summary>The KV cache's type from the option to the memory plan.</summary>
[TestClass]
public sealed class KvCacheDtypeTests
{
    // The demo model: 2 key-value heads of 64.
    private const long MemoryBytes = 8 << 20;

    [TestMethod]
    [DataRow("float16", "auto", ElementType.F16)]
    [DataRow("float32", "auto", ElementType.F32)]
    [DataRow("float32", "fp16", ElementType.F16)]
    [DataRow("float16", "int8", ElementType.U8)]
    [DataRow("float32", "int8", ElementType.U8)]
    public void Inspect_Dtype_IsTheCaches(string dtype, string kvCacheDtype, ElementType expected)
    {
        var info = Inspect(dtype, kvCacheDtype);
        Assert.AreEqual(expected, info.KvCacheDType);
        long heads = 2L * info.Config.NumHiddenLayers * info.Config.NumKeyValueHeads, perHead = info.Config.HeadDim * expected.SizeInBytes();
        Assert.AreEqual(16 * heads * (perHead + (expected == ElementType.U8 ? sizeof(float) : 0)), info.Memory.BlockBytes, "a token's codes, and a scale a head");
        Assert.AreEqual(MemoryBytes / info.Memory.BlockBytes, info.Memory.NumBlocks);
        Assert.AreEqual(0, info.Memory.BlockWorkspaceBytes, "the CPU widens what it reads");
    }

    [TestMethod]
    public void Inspect_Int8_PlansAboutTwiceTheBlocks()
    {
        double halves = Inspect("float16", "fp16").Memory.NumBlocks, codes = Inspect("float16", "int8").Memory.NumBlocks;
        Assert.AreEqual(2 * 64.0 / (64 + 4), codes / halves, 0.01, "64 codes and a scale in place of 64 halves");
    }

    [TestMethod]
    public void Inspect_UnknownDtype_IsRefused()
    {
        var error = Assert.ThrowsExactly<InvalidOptionException>(() => Inspect("auto", "fp8"));
        Assert.AreEqual("kv-cache-dtype: fp8 is not supported; supported: auto, fp16, int8", error.Message);
    }

    private static IlgpuLlm.Engine.EngineInfo Inspect(string dtype, string kvCacheDtype) =>
        LLM.Inspect(new EngineOptions { Device = "cpu", DType = dtype, KvCacheDtype = kvCacheDtype, KvCacheMemoryBytes = MemoryBytes });
}
