using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>The kernels of one width.</summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec> : CpuKernels
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    // 192 rows x 512 floats are 384 KiB in the second-level cache; a multiple of all largest tiles.
    private const int MaxRowsInBlock = 192;

    private static int PackedLength => MaxRowsInBlock * PanelLayout.BlockDepth;

    private static int WidenedLength => PanelLayout.BlockDepth * 2 * TSimd.Count;

    private static int EdgeLength => TSimd.TileRows * 2 * TSimd.Count;

    /// <inheritdoc/>
    public override int VectorLength => TSimd.Count;

    /// <inheritdoc/>
    public override int LinearScratchLength => PackedLength + WidenedLength + EdgeLength;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Linear(CpuBlockedWeight weight, float* input, float* output, int numRows, bool accumulate, int firstPanel, int endPanel, float* scratch)
    {
        int outFeatures = weight.OutFeatures, rowsInBlock = RowsInBlock(numRows);
        for (int row = 0; row < numRows; row += rowsInBlock)
        {
            int rows = Math.Min(rowsInBlock, numRows - row);
            float* a = input + (nint)row * weight.InFeatures, c = output + (nint)row * outFeatures;
            MultiplyRows(weight, a, rows, c, accumulate, firstPanel, endPanel, scratch);
            if (weight.Bias is not null)
                AddBias(weight, c, rows, firstPanel * PanelWidth, Math.Min(endPanel * PanelWidth, outFeatures));
            weight.AddOutliers(a, rows, c, firstPanel, endPanel);
        }
    }

    /// <summary>The rows of a block, so that blocks are about as high as each other and all but the last hold whole tiles.</summary>
    private static int RowsInBlock(int numRows)
    {
        int numBlocks = (numRows + MaxRowsInBlock - 1) / MaxRowsInBlock, rows = (numRows + numBlocks - 1) / numBlocks;
        return (rows + TSimd.TileRows - 1) / TSimd.TileRows * TSimd.TileRows;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyRows(CpuBlockedWeight weight, float* input, int rows, float* c, bool accumulate, int firstPanel, int endPanel, float* scratch)
    {
        PanelLayout layout = weight.Layout;
        float* widened = scratch + PackedLength, edge = widened + WidenedLength;
        for (int block = 0; block < layout.NumBlocks; block++)
        {
            int first = block * PanelLayout.BlockDepth, depth = layout.Depth(block);
            int* order = weight.InputOrder is null ? null : weight.InputOrder + first;
            PackRows(order is null ? input + first : input, order, layout.InFeatures, rows, depth, weight.InputScale, scratch);
            for (int panel = firstPanel; panel < endPanel; panel++)
                MultiplyPanel(weight.Block(block, panel), panel * 2 * TSimd.Count, layout.OutFeatures, scratch, rows, c, overwrite: block == 0 && !accumulate, widened, edge);
        }
    }

    /// <summary>One block of one panel, whose first feature is <paramref name="column"/>, times all packed rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyPanel(in PanelBlock block, int column, int outFeatures, float* packed, int rows, float* c, bool overwrite, float* widened, float* edge)
    {
        int panelWidth = 2 * TSimd.Count, columns = Math.Min(panelWidth, outFeatures - column), depth = block.Depth;
        bool isQuantized = block.Format is PanelFormat.Int4 or PanelFormat.Int8;
        // Halves are widened in the registers of a tile, at 12 % of its rate; for several tiles once.
        bool isWidened = rows > (isQuantized ? 1 : block.Format == PanelFormat.F16 ? TSimd.TileRows : int.MaxValue);
        if (isWidened)
            Widen(block, widened);
        // While several tiles use a block they fetch the next one between them, which lies behind it; a single one runs ahead of itself.
        int numTiles = (rows + TSimd.TileRows - 1) / TSimd.TileRows, inputBytes = block.InputBits * panelWidth / 8, aheadStep = (inputBytes + numTiles - 1) / numTiles;
        byte* ahead = block.Data + (numTiles == 1 ? Prefetch.StreamDistance : (nint)depth * inputBytes);
        for (int row = 0, tile; row < rows; row += tile, ahead += (nint)depth * aheadStep)
        {
            tile = MicroKernels<TSimd, TVec>.TileRows(rows - row);
            float* a = packed + row * depth, target = c + (nint)row * outFeatures + column;
            // The last panel's missing columns lie in the next row's memory: go through a tile of its own.
            bool isEdge = columns < panelWidth;
            if (isEdge && !overwrite)
                CopyTile(target, outFeatures, edge, panelWidth, tile, columns);
            float* to = isEdge ? edge : target;
            int stride = isEdge ? panelWidth : outFeatures;
            if (isQuantized && !isWidened)
                MultiplyRow(block, packed, to, overwrite);
            else if (block.Format != PanelFormat.F16)
                MicroKernels<TSimd, TVec>.Multiply<FloatPanels<TSimd, TVec>>(tile, a, isWidened ? (byte*)widened : block.Data, depth, to, stride, overwrite, ahead, aheadStep);
            else if (isWidened)
                MicroKernels<TSimd, TVec>.Multiply<WidenedHalfPanels<TSimd, TVec>>(tile, a, (byte*)widened, depth, to, stride, overwrite, ahead, aheadStep);
            else
                MicroKernels<TSimd, TVec>.Multiply<HalfPanels<TSimd, TVec>>(tile, a, block.Data, depth, to, stride, overwrite, ahead, aheadStep);
            if (isEdge)
                CopyTile(edge, panelWidth, target, outFeatures, tile, columns);
        }
    }

    /// <summary>Widens a block to floats, [depth, 2 vectors], so that several tiles can use it.</summary>
    private static void Widen(in PanelBlock block, float* widened)
    {
        switch (block.Format)
        {
            case PanelFormat.F16: MicroKernels<TSimd, TVec>.WidenPacked((ushort*)block.Data, widened, block.Depth * 2 * TSimd.Count); break;
            case PanelFormat.Int4: QuantizedKernels<TSimd, TVec>.Widen4(block, widened); break;
            default: QuantizedKernels<TSimd, TVec>.Widen8(block, widened); break;
        }
    }

    /// <summary>One row times a block of codes that is widened in registers.</summary>
    private static void MultiplyRow(in PanelBlock block, float* row, float* c, bool overwrite)
    {
        if (block.Format == PanelFormat.Int4)
            QuantizedKernels<TSimd, TVec>.MultiplyRow4(block, row, c, overwrite);
        else
            QuantizedKernels<TSimd, TVec>.MultiplyRow8(block, row, c, overwrite);
    }

    /// <summary>Lays rows out as the tiles read them: for each tile [depth, rows of the tile]; features in order, or those that <paramref name="order"/> names.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRows(float* input, int* order, int stride, int rows, int depth, float scale, float* packed)
    {
        for (int row = 0, tile; row < rows; row += tile)
        {
            tile = MicroKernels<TSimd, TVec>.TileRows(rows - row);
            float* source = input + (nint)row * stride, target = packed + row * depth;
            int r = 0;
            for (; order is null && r <= tile - 4; r += 4, source += 4 * (nint)stride)
                Transpose.FourRows(source, source + stride, source + 2 * (nint)stride, source + 3 * (nint)stride, depth, scale, target + r, tile);
            for (; r < tile; r++, source += stride)
                for (int k = 0; k < depth; k++)
                    target[k * tile + r] = source[order is null ? k : order[k]] * scale;
        }
    }

    private static void CopyTile(float* source, int sourceStride, float* target, int targetStride, int rows, int columns)
    {
        for (int r = 0; r < rows; r++)
            new ReadOnlySpan<float>(source + (nint)r * sourceStride, columns).CopyTo(new Span<float>(target + (nint)r * targetStride, columns));
    }

    private static void AddBias(CpuPanelWeight weight, float* c, int rows, int firstColumn, int endColumn)
    {
        for (int r = 0; r < rows; r++, c += weight.OutFeatures)
        {
            int i = firstColumn;
            for (; i <= endColumn - TSimd.Count; i += TSimd.Count)
                TSimd.Store(TSimd.Add(TSimd.Load(c + i), TSimd.Load(weight.Bias + i)), c + i);
            for (; i < endColumn; i++)
                c[i] += weight.Bias[i];
        }
    }
}
