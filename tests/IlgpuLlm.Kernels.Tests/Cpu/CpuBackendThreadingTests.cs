using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>What holds for any number of threads: the same bits, no allocation, exceptions that reach the caller.</summary>
[TestClass]
[DoNotParallelize]
public sealed class CpuBackendThreadingTests
{
    private static readonly AttentionShape Shape = new(6, 2, 24, 0, 0.2f);

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void AllOperations_OneToFiveThreads_SameBits(ElementType type)
    {
        using var layer = new OneLayer(1, type);
        layer.Run();
        foreach (int numThreads in new[] { 2, 3, 5 })
        {
            using var other = new OneLayer(numThreads, type);
            other.Run();
            foreach ((string name, float[] values) in layer.Results())
                TestTensors.AssertSameBits(values, other.Results().Single(r => r.Name == name).Values, $"{name} on {numThreads} threads");
        }
    }

    [TestMethod]
    [DataRow(1, ElementType.F32)]
    [DataRow(3, ElementType.F32)]
    [DataRow(3, ElementType.F16)]
    public void AllOperations_ThousandTimes_AllocateNothing(int numThreads, ElementType type)
    {
        using var layer = new OneLayer(numThreads, type);
        layer.Run();
        // The test platform may allocate on its own threads; an operation that allocates would do so in every attempt.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 5 && least > 0; attempt++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < 1000 / OneLayer.NumOperations + 1; i++)
                layer.Run();
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        Assert.AreEqual(0, least, "bytes allocated by 1,000 operations");
    }

    [TestMethod]
    public void EmbeddingLookup_InvalidIdInAWorkersPart_ThrowsAndTheBackendGoesOn()
    {
        using var backend = new CpuBackend(3);
        const int Tokens = 200, Width = 300;
        using LinearWeight table = backend.CreateLinear(10, Width, ElementType.F32, hasBias: false);
        table.FillRandom(1, 1);
        var ids = new int[Tokens];
        using DeviceBuffer hidden = backend.Allocate(ElementType.F32, Tokens * Width);
        foreach (int invalid in new[] { 0, Tokens / 2, Tokens - 1 })
        {
            ids[invalid] = 10;
            using DeviceBuffer bad = backend.Upload(ids);
            var error = Assert.ThrowsExactly<ArgumentException>(() => backend.EmbeddingLookup(table, bad, hidden, Tokens));
            StringAssert.Contains(error.Message, "token id 10 ");
            ids[invalid] = 3;
            using DeviceBuffer good = backend.Upload(ids);
            backend.EmbeddingLookup(table, good, hidden, Tokens);
        }
    }

    [TestMethod]
    public void BuffersAndWeights_OfAnotherKind_AreRefused()
    {
        using var backend = new CpuBackend(1);
        using DeviceBuffer floats = backend.Allocate(ElementType.F32, 4), halves = backend.Allocate(ElementType.F16, 4);
        Assert.AreEqual(4, ((CpuBuffer)floats).AsSpan<float>().Length);
        Assert.AreEqual(4, ((CpuBuffer)halves).AsSpan<Half>().Length);
        Assert.ThrowsExactly<InvalidOperationException>(() => ((CpuBuffer)floats).AsSpan<int>().Clear());
        DeviceBuffer view = floats.Slice(1, 2);
        floats.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => backend.Upload(new float[2], view));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new CpuBackend(-1));
    }

    /// <summary>Every operation once, on sizes that are split over threads.</summary>
    private sealed class OneLayer : IDisposable
    {
        public const int NumOperations = 9;

        private const int Tokens = 70, Hidden = 144, Intermediate = 250, BlockSize = 4, NumBlocks = 18;

        private readonly CpuBackend _backend;
        private readonly LinearWeight _table, _down;
        private readonly DeviceBuffer _hidden, _normed, _qkv, _attended, _gateUp, _mlp, _delta, _gathered, _normWeight, _indices, _source;
        private readonly KvCacheLayer _cache;
        private readonly RotaryTable _rotary;
        private readonly BatchMetadata _batch;

        public OneLayer(int numThreads, ElementType type)
        {
            _backend = new CpuBackend(numThreads);
            _backend.ReserveWorkspace(new WorkspaceShape(new ModelShape(Hidden, Intermediate, Shape, type), Tokens, Tokens, Tokens));
            _table = _backend.CreateLinear(500, Hidden, type, hasBias: false);
            _table.FillRandom(1, 1);
            _down = _backend.CreateLinear(Hidden, Intermediate, type, hasBias: true);
            _down.FillRandom(2, 0.1f);
            _source = _backend.Upload(TestTensors.Random(3, Tokens * Shape.QkvWidth));
            _gateUp = _backend.Upload(TestTensors.Random(4, Tokens * 2 * Intermediate));
            _normWeight = _backend.Upload(TestTensors.Random(5, Hidden));
            _hidden = _backend.Allocate(ElementType.F32, Tokens * Hidden);
            _normed = _backend.Allocate(ElementType.F32, Tokens * Hidden);
            _delta = _backend.Allocate(ElementType.F32, Tokens * Hidden);
            _qkv = _backend.Allocate(ElementType.F32, Tokens * Shape.QkvWidth);
            _attended = _backend.Allocate(ElementType.F32, Tokens * Shape.QueryWidth);
            _mlp = _backend.Allocate(ElementType.F32, Tokens * Intermediate);
            _gathered = _backend.Allocate(ElementType.F32, Tokens * Shape.QkvWidth);
            _cache = new KvCacheLayer(
                _backend.Allocate(type, NumBlocks * BlockSize * Shape.KvWidth), _backend.Allocate(type, NumBlocks * BlockSize * Shape.KvWidth), NumBlocks, BlockSize);
            _rotary = new RotaryTable(_backend.Upload(TestTensors.Random(6, Tokens * Shape.HeadDim)), Tokens, Shape.HeadDim);
            int[] range = [.. Enumerable.Range(0, Tokens)];
            _indices = _backend.Upload(range);
            _batch = AttentionRun.CreateBatch(_backend, Tokens, 1, NumBlocks);
            _backend.Upload(range, _batch.TokenIds);
            _backend.Upload(range, _batch.Positions);
            _backend.Upload(range, _batch.RotaryRows);
            _backend.Upload(range, _batch.SlotMapping);
            _backend.Upload(new int[Tokens], _batch.TokenSequences);
            _backend.Upload(range.AsSpan(0, NumBlocks), _batch.BlockTables);
            (_batch.NumTokens, _batch.NumSeqs, _batch.MaxSeqLen) = (Tokens, 1, Tokens);
        }

        public void Run()
        {
            _backend.EmbeddingLookup(_table, _batch.TokenIds, _hidden, Tokens);
            _backend.RmsNorm(_hidden, _normWeight, _normed, Tokens, 1e-5f);
            _backend.GatherRows(_source, _indices, _gathered, Tokens, Shape.QkvWidth);
            _backend.GatherRows(_source, _indices, _qkv, Tokens, Shape.QkvWidth);
            _backend.RotaryAndWriteKv(Shape, _qkv, _rotary, _cache, _batch);
            _backend.PagedAttention(Shape, _qkv, _cache, _batch, _attended);
            _backend.SiluMul(_gateUp, _mlp, Tokens, Intermediate);
            _backend.Linear(_down, _mlp, _delta, Tokens);
            _backend.LinearAdd(_down, _mlp, _hidden, Tokens);
            _backend.RmsNorm(_hidden, _normWeight, _normed, Tokens, 1e-5f);
        }

        public IEnumerable<(string Name, float[] Values)> Results()
        {
            yield return ("hidden", _backend.Download(_hidden));
            yield return ("normed", _backend.Download(_normed));
            yield return ("gathered", _backend.Download(_gathered));
            yield return ("attended", _backend.Download(_attended));
            yield return ("mlp", _backend.Download(_mlp));
            yield return ("delta", _backend.Download(_delta));
        }

        public void Dispose()
        {
            _table.Dispose();
            _down.Dispose();
            foreach (DeviceBuffer buffer in new[] { _hidden, _normed, _qkv, _attended, _gateUp, _mlp, _delta, _gathered, _normWeight, _indices, _source, _cache.Keys, _cache.Values, _rotary.Values })
                buffer.Dispose();
            _backend.Dispose();
        }
    }
}
