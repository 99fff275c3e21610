using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Panels of codes, dequantised in registers: w = code * scale - zero * scale, in which every product and the sum are exact as floats (a scale has 11 bits,
/// a code 8), so that w is the same number whether one row multiplies it or several tiles do.
/// </summary>
internal static unsafe class QuantizedKernels<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    private static int PanelWidth => 2 * TSimd.Count;

    /// <summary>A block of 4-bit codes as floats: [depth, 2 vectors].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen4(in PanelBlock block, float* destination)
    {
        byte* codes = block.Data;
        for (int k = 0, end; k < block.Depth;)
        {
            end = LoadGroup(block, k, out TVec scale0, out TVec scale1, out TVec offset0, out TVec offset1);
            for (; k < end - 1; k += 2, codes += PanelWidth, destination += 2 * PanelWidth)
            {
                TSimd.LoadNibbles(codes, out TVec even0, out TVec odd0);
                TSimd.LoadNibbles(codes + TSimd.Count, out TVec even1, out TVec odd1);
                TSimd.Store(TSimd.MulAdd(even0, scale0, offset0), destination);
                TSimd.Store(TSimd.MulAdd(even1, scale1, offset1), destination + TSimd.Count);
                TSimd.Store(TSimd.MulAdd(odd0, scale0, offset0), destination + PanelWidth);
                TSimd.Store(TSimd.MulAdd(odd1, scale1, offset1), destination + PanelWidth + TSimd.Count);
            }
            if (k < end) // the last input of a row of odd length
            {
                TSimd.LoadNibbles(codes, out TVec even0, out _);
                TSimd.LoadNibbles(codes + TSimd.Count, out TVec even1, out _);
                TSimd.Store(TSimd.MulAdd(even0, scale0, offset0), destination);
                TSimd.Store(TSimd.MulAdd(even1, scale1, offset1), destination + TSimd.Count);
                k++;
            }
        }
    }

    /// <summary>A block of 8-bit codes as floats: [depth, 2 vectors].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen8(in PanelBlock block, float* destination)
    {
        byte* codes = block.Data;
        for (int k = 0, end; k < block.Depth;)
        {
            end = LoadGroup(block, k, out TVec scale0, out TVec scale1, out TVec offset0, out TVec offset1);
            for (; k < end; k++, codes += PanelWidth, destination += PanelWidth)
            {
                TSimd.Store(TSimd.MulAdd(TSimd.LoadBytes(codes), scale0, offset0), destination);
                TSimd.Store(TSimd.MulAdd(TSimd.LoadBytes(codes + TSimd.Count), scale1, offset1), destination + TSimd.Count);
            }
        }
    }

    /// <summary>One row times a block of 4-bit codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyRow4(in PanelBlock block, float* row, float* c, bool overwrite)
    {
        TVec sum0 = default, sum1 = default;
        byte* codes = block.Data;
        for (int k = 0, end; k < block.Depth;)
        {
            end = LoadGroup(block, k, out TVec scale0, out TVec scale1, out TVec offset0, out TVec offset1);
            for (; k < end - 1; k += 2, codes += PanelWidth)
            {
                Prefetch.Ahead(codes, PanelWidth);
                TVec x = TSimd.Broadcast(row[k]), y = TSimd.Broadcast(row[k + 1]);
                TSimd.LoadNibbles(codes, out TVec even0, out TVec odd0);
                TSimd.LoadNibbles(codes + TSimd.Count, out TVec even1, out TVec odd1);
                sum0 = TSimd.MulAdd(x, TSimd.MulAdd(even0, scale0, offset0), sum0);
                sum1 = TSimd.MulAdd(x, TSimd.MulAdd(even1, scale1, offset1), sum1);
                sum0 = TSimd.MulAdd(y, TSimd.MulAdd(odd0, scale0, offset0), sum0);
                sum1 = TSimd.MulAdd(y, TSimd.MulAdd(odd1, scale1, offset1), sum1);
            }
            if (k < end)
            {
                TVec x = TSimd.Broadcast(row[k++]);
                TSimd.LoadNibbles(codes, out TVec even0, out _);
                TSimd.LoadNibbles(codes + TSimd.Count, out TVec even1, out _);
                sum0 = TSimd.MulAdd(x, TSimd.MulAdd(even0, scale0, offset0), sum0);
                sum1 = TSimd.MulAdd(x, TSimd.MulAdd(even1, scale1, offset1), sum1);
            }
        }
        MicroKernels<TSimd, TVec>.Add(c, sum0, sum1, overwrite);
    }

    /// <summary>One row times a block of 8-bit codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyRow8(in PanelBlock block, float* row, float* c, bool overwrite)
    {
        TVec sum0 = default, sum1 = default;
        byte* codes = block.Data;
        for (int k = 0, end; k < block.Depth;)
        {
            end = LoadGroup(block, k, out TVec scale0, out TVec scale1, out TVec offset0, out TVec offset1);
            for (; k < end; k++, codes += PanelWidth)
            {
                Prefetch.Ahead(codes, PanelWidth);
                TVec x = TSimd.Broadcast(row[k]);
                sum0 = TSimd.MulAdd(x, TSimd.MulAdd(TSimd.LoadBytes(codes), scale0, offset0), sum0);
                sum1 = TSimd.MulAdd(x, TSimd.MulAdd(TSimd.LoadBytes(codes + TSimd.Count), scale1, offset1), sum1);
            }
        }
        MicroKernels<TSimd, TVec>.Add(c, sum0, sum1, overwrite);
    }

    /// <summary>Loads the scales and offsets (-zero * scale) of the group of input k of the block; returns the group's end within the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LoadGroup(in PanelBlock block, int k, out TVec scale0, out TVec scale1, out TVec offset0, out TVec offset1)
    {
        int group = (block.FirstInput + k) / block.GroupLength;
        ushort* scales = (ushort*)block.Scales + (nint)group * PanelWidth;
        byte* zeros = block.Zeros + (nint)group * PanelWidth;
        scale0 = TSimd.LoadHalf(scales);
        scale1 = TSimd.LoadHalf(scales + TSimd.Count);
        offset0 = TSimd.Sub(default, TSimd.Mul(TSimd.LoadBytes(zeros), scale0));
        offset1 = TSimd.Sub(default, TSimd.Mul(TSimd.LoadBytes(zeros + TSimd.Count), scale1));
        return Math.Min(block.Depth, (group + 1) * block.GroupLength - block.FirstInput);
    }
}
