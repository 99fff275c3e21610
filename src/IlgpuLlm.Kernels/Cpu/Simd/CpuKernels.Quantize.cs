using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    // 127 over less is infinite; such blocks become zeros.
    private const float SmallestMagnitude = 1e-35f;

    /// <summary>
    /// Rounds rows of activations to 8 bits: x = q * scale, scale being the largest magnitude of 32 inputs over 127. Infinities and NaN make the scale NaN,
    /// and so all that the row gives.
    /// </summary>
    /// <param name="layout">The weight's.</param>
    /// <param name="input">[rows, inFeatures].</param>
    /// <param name="order">Where the features lie, or null: in order.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="x">[numBlocks, rows, 32]: bytes for codes of 4 bits; for 8 bits shorts, inputs 0, 2, 1, 3 of each four. Where <see cref="ISimdDot{TVec}.HasDots"/> bytes for both, and after each 32 of them an integer: what all of them give with <see cref="ISimdDot{TVec}.CodeOffset"/>.</param>
    /// <param name="scales">[numBlocks, rows].</param>
    /// <param name="groupSums">[numGroups, rows]: the sums of scale * q.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Quantize(CpuDotLayout layout, float* input, int* order, int rows, byte* x, float* scales, float* groupSums)
    {
        float* block = stackalloc float[DotBlock];
        int inFeatures = layout.Panels.InFeatures, blocks = layout.BlocksInGroup, bytesOfBlock = BytesOfBlock(layout);
        for (int row = 0; row < rows; row++, input += inFeatures)
            for (int group = 0; group < layout.NumGroups; group++)
            {
                float sum = 0;
                for (int b = group * blocks; b < (group + 1) * blocks; b++)
                {
                    // Only a row that is one group may end within a block.
                    int first = b * DotBlock, count = Math.Min(DotBlock, inFeatures - first);
                    float* source = input + first;
                    if (order is not null || count < DotBlock)
                    {
                        new Span<float>(block, DotBlock).Clear();
                        for (int k = 0; k < count; k++)
                            block[k] = order is null ? source[k] : input[order[first + k]];
                        source = block;
                    }
                    nint to = (nint)b * rows + row;
                    byte* target = x + to * bytesOfBlock;
                    float total = TSimd.HasDots || layout.Bits == 4
                        ? RoundToBytes(source, (sbyte*)target, out scales[to])
                        : RoundToShorts(source, (short*)target, out scales[to]);
                    if (TSimd.HasDots)
                        *(int*)(target + DotBlock) = layout.Bits == 4 ? 0 : TSimd.CodeOffset * (int)total;
                    sum += scales[to] * total;
                }
                groupSums[group * rows + row] = sum;
            }
    }

    /// <summary>Rounds 32 floats to multiples of the scale; returns the sum of what they are multiples by.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float RoundToBytes(float* source, sbyte* target, out float scale)
    {
        TVec largest = default, notFinite = default;
        for (int k = 0; k < DotBlock; k += TSimd.Count)
        {
            TVec v = TSimd.Load(source + k);
            largest = TSimd.Max(TSimd.Max(v, TSimd.Sub(default, v)), largest);
            notFinite = TSimd.Add(notFinite, TSimd.Mul(v, default)); // zero, unless one is infinite or NaN
        }
        float most = TSimd.MaxAcross(largest);
        if (most < SmallestMagnitude)
            most = 0;
        // Adding 1.5 * 2^23 rounds to an integer, in every width alike.
        TVec magic = TSimd.Broadcast(12582912f), inverse = TSimd.Broadcast(most > 0 ? 127 / most : 0), sum = default;
        for (int k = 0; k < DotBlock; k += TSimd.Count)
        {
            TVec rounded = TSimd.Sub(TSimd.Add(TSimd.Mul(TSimd.Load(source + k), inverse), magic), magic);
            TSimd.StoreBytes(rounded, target + k);
            sum = TSimd.Add(sum, rounded);
        }
        scale = most / 127 + TSimd.Sum(notFinite);
        return TSimd.Sum(sum);
    }

    private static float RoundToShorts(float* source, short* target, out float scale)
    {
        sbyte* bytes = stackalloc sbyte[DotBlock];
        float sum = RoundToBytes(source, bytes, out scale);
        for (int k = 0; k < DotBlock; k += 4)
        {
            target[k] = bytes[k];
            target[k + 1] = bytes[k + 2];
            target[k + 2] = bytes[k + 1];
            target[k + 3] = bytes[k + 3];
        }
        return sum;
    }
}
