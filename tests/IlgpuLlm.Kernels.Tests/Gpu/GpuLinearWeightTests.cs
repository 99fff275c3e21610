using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

[TestClass]
public sealed class GpuLinearWeightTests
{
    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void LoadRows_GateAndUpInBlocks_LieByTurns(ElementType storage)
    {
        // Rows of 64 KiB or more: a half of the staging buffer holds some blocks, not all of them.
        const int Block = 8, Intermediate = 5 * Block, Width = 1 << 15;
        using var lease = TestDevice.Rent();
        GpuDevice device = lease.Device;
        using var weight = new GpuLinearWeight(device, new FillRandomKernel(device), 2 * Intermediate, Width, storage, hasBias: true, Block);
        Half[] rows = new Half[2 * Intermediate * Width];
        for (int i = 0; i < rows.Length; i++)
            rows[i] = (Half)(i / Width + i % Width % 2 * 0.5f);
        foreach (var (first, count) in new[] { (0, 3), (3, 22), (25, 15), (40, 7), (47, 33) })
            weight.LoadRows(first, count, ElementType.F16, MemoryMarshal.AsBytes(rows.AsSpan(first * Width, count * Width)));
        weight.LoadBias(2, [.. Enumerable.Range(2, 2 * Intermediate - 2).Select(i => (float)i)]);
        weight.LoadBias(0, [0, 1]);

        byte[] bytes = new byte[weight.Matrix.ByteLength];
        device.CopyToHost(weight.Matrix.Address, bytes);
        float[] bias = new float[2 * Intermediate];
        device.CopyToHost(weight.Bias!.Address, MemoryMarshal.AsBytes(bias.AsSpan()));
        for (int row = 0; row < 2 * Intermediate; row++)
        {
            int expected = row / Block % 2 * Intermediate + row / (2 * Block) * Block + row % Block;
            foreach (int column in new[] { 0, 1, Width - 2, Width - 1 })
            {
                int i = row * Width + column;
                float actual = storage == ElementType.F32 ? MemoryMarshal.Cast<byte, float>(bytes)[i] : (float)MemoryMarshal.Cast<byte, Half>(bytes)[i];
                Assert.AreEqual(expected + column % 2 * 0.5f, actual, $"row {row}, column {column}");
            }
            Assert.AreEqual(expected, bias[row], $"bias of row {row}");
        }
    }

    [TestMethod]
    public void LoadRows_SeveralThreads_FillTheirRows()
    {
        const int Rows = 512, Width = 8192, Chunk = 16;
        using var lease = TestDevice.Rent();
        GpuDevice device = lease.Device;
        using var weight = new GpuLinearWeight(device, new FillRandomKernel(device), Rows, Width, ElementType.F32, hasBias: false);
        Parallel.For(0, Rows / Chunk, chunk =>
        {
            float[] rows = new float[Chunk * Width];
            for (int i = 0; i < rows.Length; i++)
                rows[i] = chunk * Chunk + i / Width + i % Width / (float)Width;
            weight.LoadRows(chunk * Chunk, Chunk, ElementType.F32, MemoryMarshal.AsBytes(rows.AsSpan()));
        });
        float[] loaded = new float[Rows * Width];
        device.CopyToHost(weight.Matrix.Address, MemoryMarshal.AsBytes(loaded.AsSpan()));
        for (int i = 0; i < loaded.Length; i++)
        {
            if (loaded[i] != i / Width + i % Width / (float)Width)
                Assert.Fail($"row {i / Width}, column {i % Width}: {loaded[i]}");
        }
    }
}
