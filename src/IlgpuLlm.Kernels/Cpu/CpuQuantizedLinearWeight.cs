using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A linear layer's matrix of 4-bit or 8-bit codes that are multiplied with floats, in panels, with a scale (a half) and a zero point (a byte) for each group of a row.</summary>
public sealed unsafe class CpuQuantizedLinearWeight : CpuBlockedWeight
{
    private readonly NativeBlock _codes;
    private readonly PanelScales _scales;
    private readonly int _groupLength;

    internal CpuQuantizedLinearWeight(
        CpuThreadPool pool, int panelWidth, int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder)
        : base(pool, new PanelLayout(outFeatures, inFeatures, panelWidth), ElementType.F32, hasBias, format, inputOrder)
    {
        _groupLength = format.GroupLength(inFeatures);
        // Two neighbouring inputs share a byte and are dequantised with one group's scale.
        if (format.Bits == 4 && format.NumGroups(inFeatures) > 1 && _groupLength % 2 != 0)
            throw new NotSupportedException($"groups of {_groupLength} inputs of 4 bits are not supported: the size must be even, or that of a whole row");
        _codes = new NativeBlock(CodesByteLength(Layout, format), isDense: true);
        _scales = new PanelScales(Layout, format.NumGroups(inFeatures));
        ClearMissingRows();
    }

    /// <inheritdoc/>
    public override long ByteLength => ComputeByteLength(Layout, Quantization!, HasBias, InputOrder is not null);

    internal static long ComputeByteLength(PanelLayout layout, QuantizationFormat format, bool hasBias, bool isReordered)
        => CodesByteLength(layout, format)
            + PanelScales.ComputeByteLength(layout, format.NumGroups(layout.InFeatures))
            + OrderByteLength(layout, isReordered)
            + BiasByteLength(layout, hasBias);

    internal override PanelBlock Block(int block, int panel)
    {
        ObjectDisposedException.ThrowIf(_codes.Pointer is null, this);
        return new PanelBlock
        {
            Format = Quantization!.Bits == 4 ? PanelFormat.Int4 : PanelFormat.Int8,
            Data = _codes.Pointer + CodesOffset(Layout, Quantization, block, panel),
            Scales = _scales.Scales(panel, 0),
            Zeros = _scales.Zeros(panel, 0),
            FirstInput = block * PanelLayout.BlockDepth,
            Depth = Layout.Depth(block),
            GroupLength = _groupLength,
        };
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void LoadQuantizedRowsCore(int firstRow, int numRows, QuantizedRows source)
    {
        int width = Layout.PanelWidth, endRow = firstRow + numRows;
        fixed (byte* codes = source.Codes)
        {
            for (int row = firstRow, end; row < endRow; row = end)
            {
                end = Math.Min(endRow, (row / width + 1) * width);
                for (int block = 0; block < Layout.NumBlocks; block++)
                {
                    PanelBlock target = Block(block, row / width);
                    for (int r = row; r < end; r++)
                        Scatter(codes + (long)(r - firstRow) * InFeatures + target.FirstInput, target.Data + r % width, target.Depth);
                }
            }
        }
        _scales.Load(firstRow, numRows, source);
    }

    /// <inheritdoc/>
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        throw new NotSupportedException("a quantized weight takes codes");

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _codes.Dispose();
        _scales.Dispose();
    }

    private protected override ParallelJob CreateFillRandomJob(ulong seed, float amplitude) => new FillRandomCodesJob(this, seed, amplitude);

    /// <summary>Bytes over the outputs of a panel that hold so many inputs.</summary>
    private static int CodeRows(QuantizationFormat format, int depth) => format.Bits == 8 ? depth : (depth + 1) / 2;

    private static long CodesOffset(PanelLayout layout, QuantizationFormat format, int block, int panel)
        => ((long)block * CodeRows(format, PanelLayout.BlockDepth) * layout.NumPanels + (long)panel * CodeRows(format, layout.Depth(block))) * layout.PanelWidth;

    private static long CodesByteLength(PanelLayout layout, QuantizationFormat format) => CodesOffset(layout, format, layout.NumBlocks - 1, layout.NumPanels);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Scatter(byte* source, byte* destination, int depth)
    {
        int stride = Layout.PanelWidth;
        if (Quantization!.Bits == 8)
        {
            for (int k = 0; k < depth; k++, destination += stride)
                *destination = source[k];
            return;
        }
        int i = 0;
        for (; i < depth - 1; i += 2, destination += stride)
            *destination = (byte)(source[i] | source[i + 1] << 4);
        if (i < depth)
            *destination = source[i];
    }

    private void ClearMissingRows()
    {
        // Their products are computed and dropped; scales that happen to be NaN or subnormal could make them slow.
        if (OutFeatures % Layout.PanelWidth == 0)
            return;
        int panel = Layout.NumPanels - 1;
        for (int block = 0; block < Layout.NumBlocks; block++)
            NativeMemory.Clear(Block(block, panel).Data, (nuint)(CodeRows(Quantization!, Layout.Depth(block)) * Layout.PanelWidth));
    }
}
