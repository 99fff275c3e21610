using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Loading;

/// <summary>AutoGPTQ's layout: a word of 32 bits holds neighbouring inputs of one output, the first one in its lowest bits.</summary>
internal static class GptqUnpacker
{
    private const int BlockWords = 16;

    /// <summary>Codes of <paramref name="numRows"/> outputs, inputs in the checkpoint's order.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="words">[inFeatures * bits / 32, outFeatures].</param>
    /// <param name="outFeatures">Words in a row of <paramref name="words"/>.</param>
    /// <param name="firstRow">The first output.</param>
    /// <param name="numRows">The outputs.</param>
    /// <param name="codes">[numRows, inFeatures].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackCodes(int bits, ReadOnlySpan<uint> words, int outFeatures, int firstRow, int numRows, Span<byte> codes)
    {
        int codesPerWord = 32 / bits, numWords = words.Length / outFeatures, inFeatures = numWords * codesPerWord;
        // Some words of a row at a time: it is written a cache line at once, and read in as many streams.
        for (int block = 0; block < numWords; block += BlockWords)
        {
            int end = Math.Min(numWords, block + BlockWords);
            for (int row = 0; row < numRows; row++)
                for (int word = block; word < end; word++)
                {
                    uint packed = words[word * outFeatures + firstRow + row];
                    Span<byte> target = codes.Slice(row * inFeatures + word * codesPerWord, codesPerWord);
                    if (bits == 8)
                        MemoryMarshal.Write(target, packed);
                    else
                        MemoryMarshal.Write(target, SpreadNibbles(packed));
                }
        }
    }

    /// <summary>Zero points of <paramref name="numRows"/> outputs.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="words">[numGroups, outFeatures * bits / 32]: words of neighbouring outputs.</param>
    /// <param name="stride">Words of a group.</param>
    /// <param name="addend">1 where the file holds zero points less one, which wraps around within the bits.</param>
    /// <param name="firstRow">The first output.</param>
    /// <param name="numRows">The outputs.</param>
    /// <param name="zeros">[numRows, numGroups].</param>
    public static void UnpackZeros(int bits, ReadOnlySpan<uint> words, int stride, int addend, int firstRow, int numRows, Span<byte> zeros)
    {
        int codesPerWord = 32 / bits, numGroups = words.Length / stride, mask = (1 << bits) - 1;
        for (int row = 0; row < numRows; row++)
        {
            int output = firstRow + row, shift = output % codesPerWord * bits;
            for (int group = 0; group < numGroups; group++)
                zeros[row * numGroups + group] = (byte)(((int)(words[group * stride + output / codesPerWord] >> shift) + addend) & mask);
        }
    }

    /// <summary>The eight nibbles of a word as bytes, the lowest first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SpreadNibbles(uint word)
    {
        ulong x = word;
        x = (x | x << 16) & 0x0000FFFF0000FFFF;
        x = (x | x << 8) & 0x00FF00FF00FF00FF;
        return (x | x << 4) & 0x0F0F0F0F0F0F0F0F;
    }
}
