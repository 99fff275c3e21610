using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Products of codes and activations rounded to 8 bits. For each group of a weight's inputs
/// y += scale * (sum over blocks of 32 of xScale * (codes . x)) - scale * zero * (sum of xScale * (sum of x)); all but the codes' products once a row.
/// </summary>
internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    private const int DotBlock = CpuDotLayout.BlockLength, MaxDotRows = 64;

    /// <inheritdoc/>
    public override bool HasDots => TSimd.HasDots;

    /// <inheritdoc/>
    public override bool CanMultiplyDots(CpuDotLayout layout) => DotRows(layout) > 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Linear(CpuDotLinearWeight weight, float* input, float* output, int numRows, bool accumulate, int firstPanel, int endPanel, float* scratch)
    {
        CpuDotLayout layout = weight.Dots;
        int most = DotRows(layout), outFeatures = weight.OutFeatures;
        for (int row = 0; row < numRows; row += most)
        {
            int rows = Math.Min(most, numRows - row);
            float* c = output + (nint)row * outFeatures;
            // [3, rows] vectors, then [numBlocks, rows] scales, [numGroups, rows] sums of activations, and the activations.
            TVec* sums = (TVec*)scratch;
            float* scales = scratch + 3 * rows * TSimd.Count, groupSums = scales + layout.NumBlocks * rows;
            byte* x = (byte*)(groupSums + layout.NumGroups * rows);
            Quantize(layout, input + (nint)row * weight.InFeatures, weight.InputOrder, rows, x, scales, groupSums);
            for (int panel = firstPanel; panel < endPanel; panel++)
            {
                MultiplyPanel(weight, panel, x, scales, groupSums, rows, sums);
                for (int vector = 0; vector < 2; vector++)
                {
                    int column = panel * PanelWidth + vector * TSimd.Count;
                    StoreColumns(sums + vector * rows, rows, c + column, outFeatures, Math.Min(TSimd.Count, outFeatures - column), !accumulate);
                }
            }
            if (weight.Bias is not null)
                AddBias(weight, c, rows, firstPanel * PanelWidth, Math.Min(endPanel * PanelWidth, outFeatures));
        }
    }

    /// <summary>The rows whose activations fit into the scratch.</summary>
    private static int DotRows(CpuDotLayout layout)
    {
        long perRow = (long)layout.NumBlocks * (BytesOfBlock(layout) + sizeof(float)) + sizeof(float) * (layout.NumGroups + 3L * TSimd.Count);
        return (int)Math.Min(MaxDotRows, PackedLength * (long)sizeof(float) / perRow);
    }

    /// <summary>Bytes of a row's block of activations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int BytesOfBlock(CpuDotLayout layout)
        => TSimd.HasDots ? DotKernels<TSimd, TVec>.DotBytes : DotBlock * (layout.Bits == 4 ? sizeof(sbyte) : sizeof(short));

    /// <summary>sums[vector, row] = the products of a panel's outputs; what follows is scratch. Codes are read in the order in which they lie.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyPanel(CpuDotLinearWeight weight, int panel, byte* x, float* scales, float* groupSums, int rows, TVec* sums)
    {
        CpuDotLayout layout = weight.Dots;
        int blocks = layout.BlocksInGroup, bytesOfBlock = BytesOfBlock(layout);
        TVec* products = sums + 2 * rows;
        new Span<TVec>(sums, 2 * rows).Clear();
        byte* codes = weight.Codes(panel);
        nint groupBytes = (nint)layout.VectorBytes;
        ushort* weightScales = (ushort*)weight.Scales(panel, 0);
        byte* zeros = weight.Zeros(panel, 0);
        for (int group = 0; group < layout.NumGroups; group++)
        {
            for (TVec* sum = sums; sum < products; sum += rows, codes += groupBytes, weightScales += TSimd.Count, zeros += TSimd.Count)
            {
                if (TSimd.HasDots)
                    DotKernels<TSimd, TVec>.MultiplyDots(layout.Bits, codes, x, scales, blocks, rows, products);
                else if (layout.Bits == 4)
                    DotKernels<TSimd, TVec>.Multiply4(codes, x, scales, blocks, rows, products);
                else
                    DotKernels<TSimd, TVec>.Multiply8(codes, x, scales, blocks, rows, products);
                TVec scale = TSimd.LoadHalf(weightScales);
                TVec offset = TSimd.Sub(default, TSimd.Mul(TSimd.LoadBytes(zeros), scale));
                for (int row = 0; row < rows; row++)
                    sum[row] = TSimd.MulAdd(offset, TSimd.Broadcast(groupSums[row]), TSimd.MulAdd(scale, products[row], sum[row]));
            }
            x += (nint)blocks * rows * bytesOfBlock;
            scales += blocks * rows;
            groupSums += rows;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreColumns(TVec* sums, int rows, float* c, int stride, int columns, bool overwrite)
    {
        for (int row = 0; row < rows; row++, sums++, c += stride)
        {
            if (columns == TSimd.Count)
            {
                TSimd.Store(overwrite ? *sums : TSimd.Add(TSimd.Load(c), *sums), c);
                continue;
            }
            for (int i = 0; i < columns; i++) // none where columns are missing altogether
                c[i] = overwrite ? ((float*)sums)[i] : c[i] + ((float*)sums)[i];
        }
    }
}
