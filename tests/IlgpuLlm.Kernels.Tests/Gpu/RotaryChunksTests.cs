using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>The rotary kernel that reads halves in chunks against the one that reads them singly: the same bits.</summary>
[TestClass]
[DoNotParallelize]
public sealed class RotaryChunksTests
{
    private const int BlockSize = 4;

    [TestMethod]
    [DataRow(16, 3, 1, 7)]
    [DataRow(64, 4, 2, 5)]
    [DataRow(80, 2, 2, 9)]
    [DataRow(96, 4, 1, 3)]
    [DataRow(128, 8, 8, 4)]
    [DataRow(256, 2, 1, 2)]
    public void Launch_Chunks_SameBits(int headDim, int numHeads, int numKvHeads, int numTokens)
    {
        using GpuBackend backend = TestDevice.Create();
        CheckSameBits(backend, new AttentionShape(numHeads, numKvHeads, headDim, 0, 1), numTokens);
    }

    [TestMethod]
    public void Launch_ManyTokens_SameBits()
    {
        if (!TestDevice.IsCuda)
            Assert.Inconclusive("skipped: too slow without a CUDA device");
        using GpuBackend backend = TestDevice.Create();
        CheckSameBits(backend, new AttentionShape(32, 32, 128, 0, 1), 1500);
        CheckSameBits(backend, new AttentionShape(10, 2, 80, 0, 1), 1100);
    }

    private static void CheckSameBits(GpuBackend backend, AttentionShape shape, int numTokens)
    {
        float[] table = TestTensors.Random(1, 16 * shape.HeadDim);
        var rows = new ushort[numTokens * shape.QkvWidth];
        float[] values = TestTensors.Random(2, rows.Length, 4);
        for (int i = 0; i < rows.Length; i++)
            rows[i] = BitConverter.HalfToUInt16Bits((Half)values[i]);
        int numBlocks = numTokens / BlockSize + 2;
        int[] slots = [.. Enumerable.Range(0, numBlocks * BlockSize)];
        new Random(3).Shuffle(slots);
        slots[numTokens / 2] = -1;

        BatchMetadata batch = AttentionRun.CreateBatch(backend, numTokens, 1, 1);
        batch.NumTokens = numTokens;
        batch.NumSeqs = 1;
        backend.Upload([.. Enumerable.Range(0, numTokens).Select(t => t * 7 % 16)], batch.RotaryRows);
        backend.Upload(slots[..numTokens], batch.SlotMapping);
        using DeviceBuffer angles = backend.Upload(table);
        ushort[][] expected = Run(usesChunks: false), actual = Run(usesChunks: true);
        string[] names = ["queries", "keys", "values"];
        for (int i = 0; i < names.Length; i++)
        {
            for (int j = 0; j < expected[i].Length; j++)
            {
                if (expected[i][j] != actual[i][j])
                    Assert.Fail($"{names[i]}, element {j} (headDim {shape.HeadDim}): got {actual[i][j]:x4}, expected {expected[i][j]:x4}");
            }
        }

        ushort[][] Run(bool usesChunks)
        {
            using var qkv = (GpuBuffer)backend.Allocate(ElementType.F16, rows.Length);
            using var keys = (GpuBuffer)backend.Allocate(ElementType.F16, (long)numBlocks * BlockSize * shape.KvWidth);
            using var cachedValues = (GpuBuffer)backend.Allocate(ElementType.F16, keys.Length);
            GpuDevice device = qkv.Device;
            device.CopyToDevice(MemoryMarshal.AsBytes<ushort>(rows), qkv.Address);
            foreach (GpuBuffer cache in new[] { keys, cachedValues })
                device.CopyToDevice(new byte[cache.Length * 2], cache.Address);
            var kernel = new RotaryKernel(device) { UsesChunks = usesChunks };
            kernel.Launch(shape, qkv, new RotaryTable(angles, 16, shape.HeadDim), new KvCacheLayer(keys, cachedValues, numBlocks, BlockSize), batch);
            return [Download(qkv), Download(keys), Download(cachedValues)];
        }
    }

    private static ushort[] Download(GpuBuffer buffer)
    {
        var bits = new ushort[buffer.Length];
        buffer.Device.CopyToHost(buffer.Address, MemoryMarshal.AsBytes(bits.AsSpan()));
        return bits;
    }
}
