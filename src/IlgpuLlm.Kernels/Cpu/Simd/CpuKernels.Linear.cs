using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>The kernels of one width.</summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec> : CpuKernels
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    // 120 rows x 256 floats are 120 KiB in the second-level cache; a multiple of all tiles.
    private const int MaxRowsInBlock = 120;

    private static int PackedLength => MaxRowsInBlock * PanelLayout.BlockDepth;

    private static int WidenedLength => PanelLayout.BlockDepth * 2 * TSimd.Count;

    private static int EdgeLength => TSimd.TileRows * 2 * TSimd.Count;

    /// <inheritdoc/>
    public override int VectorLength => TSimd.Count;

    /// <inheritdoc/>
    public override int LinearScratchLength => PackedLength + WidenedLength + EdgeLength;

    /// <inheritdoc/>
    public override void Linear(CpuLinearWeight weight, float* input, float* output, int numRows, bool accumulate, int firstPanel, int endPanel, float* scratch)
    {
        PanelLayout layout = weight.Layout;
        int inFeatures = layout.InFeatures, outFeatures = layout.OutFeatures;
        float* widened = scratch + PackedLength, edge = widened + WidenedLength;
        for (int row = 0; row < numRows; row += MaxRowsInBlock)
        {
            int rows = Math.Min(MaxRowsInBlock, numRows - row);
            float* c = output + (nint)row * outFeatures;
            for (int block = 0; block < layout.NumBlocks; block++)
            {
                int depth = layout.Depth(block);
                PackRows(input + (nint)row * inFeatures + block * PanelLayout.BlockDepth, inFeatures, rows, depth, scratch);
                for (int panel = firstPanel; panel < endPanel; panel++)
                    MultiplyPanel(weight, block, panel, depth, scratch, rows, c, overwrite: block == 0 && !accumulate, widened, edge);
            }
            if (weight.Bias is not null)
                AddBias(weight, c, rows, firstPanel * PanelWidth, Math.Min(endPanel * PanelWidth, outFeatures));
        }
    }

    /// <summary>One block of one panel times all packed rows.</summary>
    private static void MultiplyPanel(CpuLinearWeight weight, int block, int panel, int depth, float* packed, int rows, float* c, bool overwrite, float* widened, float* edge)
    {
        int panelWidth = 2 * TSimd.Count, outFeatures = weight.OutFeatures, column = panel * panelWidth;
        int columns = Math.Min(panelWidth, outFeatures - column);
        byte* source = weight.Panel(block, panel);
        bool isHalf = weight.Storage == ElementType.F16;
        float* b = (float*)source;
        if (isHalf && rows > 1)
        {
            MicroKernels<TSimd, TVec>.Widen((ushort*)source, widened, depth * panelWidth);
            b = widened;
        }
        for (int row = 0, tile; row < rows; row += tile)
        {
            tile = MicroKernels<TSimd, TVec>.TileRows(rows - row);
            float* target = c + (nint)row * outFeatures + column;
            // The last panel's missing columns lie in the next row's memory: go through a tile of its own.
            bool isEdge = columns < panelWidth;
            if (isEdge && !overwrite)
                CopyTile(target, outFeatures, edge, panelWidth, tile, columns);
            if (isHalf && rows == 1)
                MicroKernels<TSimd, TVec>.MultiplyHalf(packed, (ushort*)source, depth, isEdge ? edge : target, overwrite);
            else
                MicroKernels<TSimd, TVec>.Multiply(tile, packed + row * depth, b, depth, isEdge ? edge : target, isEdge ? panelWidth : outFeatures, overwrite);
            if (isEdge)
                CopyTile(edge, panelWidth, target, outFeatures, tile, columns);
        }
    }

    /// <summary>Lays rows out as the tiles read them: for each tile [depth, rows of the tile].</summary>
    private static void PackRows(float* input, int stride, int rows, int depth, float* packed)
    {
        for (int row = 0, tile; row < rows; row += tile)
        {
            tile = MicroKernels<TSimd, TVec>.TileRows(rows - row);
            float* target = packed + row * depth;
            for (int r = 0; r < tile; r++)
            {
                float* source = input + (nint)(row + r) * stride;
                for (int k = 0; k < depth; k++)
                    target[k * tile + r] = source[k];
            }
        }
    }

    private static void CopyTile(float* source, int sourceStride, float* target, int targetStride, int rows, int columns)
    {
        for (int r = 0; r < rows; r++)
            new ReadOnlySpan<float>(source + (nint)r * sourceStride, columns).CopyTo(new Span<float>(target + (nint)r * targetStride, columns));
    }

    private static void AddBias(CpuLinearWeight weight, float* c, int rows, int firstColumn, int endColumn)
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
