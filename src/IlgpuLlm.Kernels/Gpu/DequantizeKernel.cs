using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Writes what a quantized weight stands for as halves, [outFeatures, inFeatures] in the order of the rows that it is multiplied by: for products of many
/// rows, beside which it takes little. A lane widens what it would hold of a block as a row operand.
/// </summary>
internal sealed class DequantizeKernel(GpuDevice device)
{
    private const int GroupSize = 256;
    private const int Warps = GroupSize / 32;

    private static readonly GpuKernel Int4 = Kernel<Int4Codes, UInt4>("int4"), Int8 = Kernel<Int8Codes, Int8Block>("int8");

    private readonly Launcher _int4 = device.Load<Launcher>(Int4), _int8 = device.Load<Launcher>(Int8);

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, ArrayView<int> order, int hasOrder, ArrayView<ushort> output, int outFeatures,
        QuantizedStream sizes);

    public static IReadOnlyList<GpuKernel> Variants => [Int4, Int8];

    /// <summary>Queues it, for a weight that <see cref="QuantizedStreamKernel.Supports"/>.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer output)
    {
        var sizes = QuantizedStreamKernel.SizesOf(weight);
        var config = new KernelConfig(new Index3D((sizes.NumBlocks + Warps - 1) / Warps, weight.NumPanels * QuantizedLayout.Strips, 1), new Index3D(GroupSize, 1, 1));
        var launch = weight.Quantization!.Bits == 4 ? _int4 : _int8;
        launch(
            device.Stream, config, weight.Codes.Address, weight.Groups.Address, (weight.InputOrder ?? weight.Groups).View<int>(),
            weight.InputOrder is null ? 0 : 1, output.View<ushort>(), weight.OutFeatures, sizes);
    }

    private static GpuKernel Kernel<TCodes, TRaw>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged =>
        GpuKernel.Of($"quantized.dequantize.{name}", typeof(DequantizeBody<TCodes, TRaw>), GroupSize) with { IsCudaOnly = true };
}

/// <summary>The body of <see cref="DequantizeKernel"/>: a warp a block.</summary>
internal static class DequantizeBody<TCodes, TRaw>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
{
    internal static void Body(
        long codes, long groups, ArrayView<int> order, int hasOrder, ArrayView<ushort> output, int outFeatures, QuantizedStream sizes)
    {
        int lane = Group.IdxX & 31, strip = Grid.IdxY, block = Grid.IdxX * (Group.DimX / 32) + (Group.IdxX >> 5);
        if (block >= sizes.NumBlocks)
            return;
        var place = QuantizedLane.Of(codes, groups, strip, lane, TCodes.Bits, sizes);
        var chunk = place.Load<TCodes, TRaw, HalfBlockGroups>(sizes, block);
        Two<UInt4> lower = TCodes.WidenLower(chunk.Codes, QuantizedRowPair.Of(chunk.Groups));
        Two<UInt4> upper = TCodes.WidenUpper(chunk.Codes, QuantizedRowPair.Of(chunk.UpperGroups));
        int row = strip * QuantizedLayout.StripRows + (lane >> 2), input = block * QuantizedLayout.BlockInputs + (lane & 3) * 2;
        long inFeatures = (long)sizes.NumBlocks * QuantizedLayout.BlockInputs;
        if (row < outFeatures)
        {
            Store(output, order, hasOrder, row * inFeatures, input, new() { X = lower.A.X, Y = lower.A.Z, Z = lower.B.X, W = lower.B.Z });
            Store(output, order, hasOrder, row * inFeatures, input + 32, new() { X = upper.A.X, Y = upper.A.Z, Z = upper.B.X, W = upper.B.Z });
        }
        if (row + 8 < outFeatures)
        {
            Store(output, order, hasOrder, (row + 8) * inFeatures, input, new() { X = lower.A.Y, Y = lower.A.W, Z = lower.B.Y, W = lower.B.W });
            Store(output, order, hasOrder, (row + 8) * inFeatures, input + 32, new() { X = upper.A.Y, Y = upper.A.W, Z = upper.B.Y, W = upper.B.W });
        }
    }

    /// <summary>Stores four pairs, eight inputs apart: four lanes fill half a sector of 32 bytes, and their next pairs the other half.</summary>
    private static void Store(ArrayView<ushort> output, ArrayView<int> order, int hasOrder, long row, int input, UInt4 values)
    {
        StorePair(output, order, hasOrder, row, input, values.X);
        StorePair(output, order, hasOrder, row, input + 8, values.Y);
        StorePair(output, order, hasOrder, row, input + 16, values.Z);
        StorePair(output, order, hasOrder, row, input + 24, values.W);
    }

    private static void StorePair(ArrayView<ushort> output, ArrayView<int> order, int hasOrder, long row, int input, uint pair)
    {
        if (hasOrder == 0)
        {
            output.Cast<uint>()[(row + input) / 2] = pair;
            return;
        }
        output[row + order[input]] = (ushort)pair;
        output[row + order[input + 1]] = (ushort)(pair >> 16);
    }
}
