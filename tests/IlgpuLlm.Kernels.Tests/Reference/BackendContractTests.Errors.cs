namespace IlgpuLlm.Kernels.Tests.Reference;

public abstract partial class BackendContractTests
{
    [TestMethod]
    public void Allocate_MoreThanTheDeviceHas_ThrowsWithTheNumbers()
    {
        using Backend backend = CreateBackend();
        DeviceMemory memory = backend.QueryMemory();
        Assert.IsTrue(memory.TotalBytes > 0 && memory.FreeBytes > 0 && memory.FreeBytes <= memory.TotalBytes, memory.ToString());
        var error = Assert.ThrowsExactly<DeviceOutOfMemoryException>(() => backend.Allocate(ElementType.F32, memory.TotalBytes));
        Assert.AreEqual(memory.TotalBytes * 4, error.RequestedBytes);
        Assert.ThrowsExactly<DeviceOutOfMemoryException>(() => backend.CreateLinear(1 << 24, 1 << 20, ElementType.F32, hasBias: false));
    }

    [TestMethod]
    public void Operations_WrongShapesOrTypes_ThrowArgumentException()
    {
        using Backend backend = CreateBackend();
        using DeviceBuffer small = backend.Allocate(ElementType.F32, 7), big = backend.Allocate(ElementType.F32, 1000), ints = backend.Allocate(ElementType.I32, 8);
        using LinearWeight weight = backend.CreateLinear(10, 8, ElementType.F32, hasBias: false);
        using DeviceBuffer eight = backend.Allocate(ElementType.F32, 8);

        Throws("Linear input", () => backend.Linear(weight, small, big, 1));
        Throws("Linear output", () => backend.Linear(weight, big, small, 1));
        Throws("Linear input type", () => backend.Linear(weight, ints, big, 1));
        Throws("Linear rows", () => backend.Linear(weight, big, big, -1));
        Throws("EmbeddingLookup ids", () => backend.EmbeddingLookup(weight, ints, big, 9));
        Throws("EmbeddingLookup ids type", () => backend.EmbeddingLookup(weight, eight, big, 1));
        Throws("EmbeddingLookup hidden", () => backend.EmbeddingLookup(weight, ints, small, 1));
        Throws("RmsNorm x", () => backend.RmsNorm(small, eight, big, 1, 1e-5f));
        Throws("RmsNorm output", () => backend.RmsNorm(big, eight, small, 1, 1e-5f));
        Throws("LinearAdd input", () => backend.LinearAdd(weight, small, big, 1));
        Throws("LinearAdd residual", () => backend.LinearAdd(weight, big, small, 1));
        Throws("LinearSiluMul without workspace", () => backend.LinearSiluMul(weight, big, big, 2));
        Throws("SiluMul gateUp", () => backend.SiluMul(small, big, 1, 4));
        Throws("SiluMul output", () => backend.SiluMul(big, small, 2, 4));
        Throws("SiluMul width", () => backend.SiluMul(big, big, 1, -4));
        Throws("GatherRows indices", () => backend.GatherRows(big, ints, big, 9, 2));
        Throws("GatherRows output", () => backend.GatherRows(big, ints, small, 4, 2));
        Throws("Upload", () => backend.Upload(new float[8], small));
        Throws("Upload type", () => backend.Upload(new int[4], small));
        Throws("Copy", () => backend.Copy(big, small));
        Throws("Copy type", () => backend.Copy(small, ints));
        Throws("Download", () => backend.Download(small, new float[8]));
        Throws("LoadRows length", () => weight.LoadRows(0, 1, ElementType.F32, new byte[31]));
        Throws("LoadRows range", () => weight.LoadRows(10, 1, ElementType.F32, new byte[32]));
        Throws("LoadBias without bias", () => weight.LoadBias(0, new float[10]));
    }

    [TestMethod]
    public void AttentionOperations_WrongShapes_ThrowArgumentException()
    {
        using Backend backend = CreateBackend();
        var shape = new AttentionShape(4, 2, 8, 0, 1);
        backend.ReserveWorkspace(AttentionRun.Workspace(shape, 4, 16));
        using DeviceBuffer qkv = backend.Allocate(ElementType.F32, 2 * shape.QkvWidth), output = backend.Allocate(ElementType.F32, 2 * shape.QueryWidth);
        using DeviceBuffer slab = backend.Allocate(ElementType.F32, 3 * 4 * shape.KvWidth), table = backend.Allocate(ElementType.F32, 16 * 8);
        var cache = new KvCacheLayer(slab, slab, numBlocks: 3, blockSize: 4);
        var rotary = new RotaryTable(table, 16, 8);
        BatchMetadata batch = AttentionRun.CreateBatch(backend, maxTokens: 3, maxSeqs: 1, maxBlocks: 3);
        batch.NumTokens = 2;
        batch.NumSeqs = 1;

        DeviceBuffer shortQkv = qkv.Slice(0, shape.QkvWidth), shortOutput = output.Slice(0, shape.QueryWidth);
        Throws("rotary qkv", () => backend.RotaryAndWriteKv(shape, shortQkv, rotary, cache, batch));
        Throws("rotary table", () => backend.RotaryAndWriteKv(shape, qkv, new RotaryTable(table, 8, 16), cache, batch));
        Throws("rotary cache", () => backend.RotaryAndWriteKv(shape, qkv, rotary, new KvCacheLayer(slab, slab, 4, 4), batch));
        Throws("attention qkv", () => backend.PagedAttention(shape, shortQkv, cache, batch, output));
        Throws("attention output", () => backend.PagedAttention(shape, qkv, cache, batch, shortOutput));
        Throws("attention cache", () => backend.PagedAttention(shape, qkv, new KvCacheLayer(slab, slab, 4, 4), batch, output));
        Throws("heads not divisible", () => backend.PagedAttention(shape with { NumKvHeads = 3 }, qkv, cache, batch, output));
        batch.NumTokens = 4;
        Throws("more tokens than the metadata holds", () => backend.PagedAttention(shape, qkv, cache, batch, output));
    }

    private static void Throws(string what, Action operation)
    {
        try
        {
            operation();
        }
        catch (ArgumentException e)
        {
            Assert.IsGreaterThan(10, e.Message.Length, what);
            return;
        }
        Assert.Fail($"{what}: no ArgumentException");
    }
}
