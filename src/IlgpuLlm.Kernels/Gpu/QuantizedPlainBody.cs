using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What kernels know of a quantized matrix.</summary>
internal struct QuantizedShape
{
    public int InFeatures;
    public int NumGroups;
    public int GroupLength;
    public int HasOrder;
}

/// <summary>
/// The product with a quantized weight in plain C#, for every shape and accelerator. A warp (Group.DimX lanes) makes one output of one row, or a gate and
/// its up; lane l adds inputs l, l + DimX, ... in order, then the lanes are added in a butterfly.
/// </summary>
internal static class QuantizedPlainBody<TCodes, TRaw, TElement, TX, TOutput>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where TElement : struct, IElement<TX>
    where TX : unmanaged
    where TOutput : struct, IQuantizedOutput
{
    internal static void Body(
        ArrayView<byte> codes, ArrayView<uint> groups, ArrayView<int> order, ArrayView<TX> x, QuantizedOutput output, QuantizedShape shape)
    {
        int feature = Grid.IdxX * Group.DimY + Group.IdxY;
        if (feature >= (TOutput.IsGateUp ? output.NumColumns / 2 : output.NumColumns))
            return;
        int column = TOutput.IsGateUp ? feature / output.UpOffset * (2 * output.UpOffset) + feature % output.UpOffset : feature;
        for (int row = Grid.IdxY; row < output.NumRows; row += Grid.DimY)
        {
            float sum = Dot(codes, groups, order, x, row, column, shape);
            float up = TOutput.IsGateUp ? Dot(codes, groups, order, x, row, column + output.UpOffset, shape) : 0f;
            if (Group.IdxX == 0)
                TOutput.Store(output, row, column, sum, up);
        }
    }

    private static float Dot(
        ArrayView<byte> codes, ArrayView<uint> groups, ArrayView<int> order, ArrayView<TX> x, int row, int column, QuantizedShape shape)
    {
        int panel = column / QuantizedLayout.PanelRows, inPanel = column % QuantizedLayout.PanelRows;
        long blocks = (long)panel * QuantizedLayout.NumBlocks(shape.InFeatures) * QuantizedLayout.BlockBytes(TCodes.Bits);
        long words = (long)panel * shape.NumGroups * QuantizedLayout.PanelRows + QuantizedLayout.WordOf(inPanel);
        long from = (long)row * shape.InFeatures;
        float sum = 0f;
        for (int k = Group.IdxX; k < shape.InFeatures; k += Group.DimX)
        {
            uint word = groups[words + k / shape.GroupLength * QuantizedLayout.PanelRows];
            int zero = (int)(word >> 16) - QuantizedLayout.ZeroBase;
            int code = (codes[blocks + QuantizedLayout.ByteOf(TCodes.Bits, inPanel, k)] >> QuantizedLayout.ShiftOf(TCodes.Bits, k)) & ((1 << TCodes.Bits) - 1);
            sum += (code - zero) * F16Element.Widen((ushort)word) * TElement.Widen(x[from + (shape.HasOrder != 0 ? order[k] : k)]);
        }
        return GroupOps.WarpSum(sum);
    }
}
