using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Loading;

/// <summary>AutoAWQ's GEMM layout: a word of 32 bits holds 8 neighbouring outputs of one input.</summary>
internal static class AwqUnpacker
{
    /// <summary>Outputs in a word.</summary>
    public const int CodesPerWord = 8;

    private const int BlockInputs = 256; // a cache line of 16 words of so many inputs: 16 KiB

    /// <summary>The output of a word, counted from its first, that each four bits are of, from the lowest on.</summary>
    public static ReadOnlySpan<byte> OutputOfNibble => [0, 2, 4, 6, 1, 3, 5, 7];

    /// <summary>Codes of <paramref name="numRows"/> outputs.</summary>
    /// <param name="words">[inFeatures, stride].</param>
    /// <param name="stride">Words of an input.</param>
    /// <param name="firstRow">The first output.</param>
    /// <param name="numRows">The outputs.</param>
    /// <param name="codes">[numRows, inFeatures].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackCodes(ReadOnlySpan<uint> words, int stride, int firstRow, int numRows, Span<byte> codes)
    {
        int inFeatures = words.Length / stride, endRow = firstRow + numRows;
        Span<ulong> eight = stackalloc ulong[CodesPerWord]; // by nibble: 8 inputs of an output
        for (int block = 0; block < inFeatures; block += BlockInputs)
        {
            int blockEnd = Math.Min(inFeatures, block + BlockInputs);
            for (int word = firstRow / CodesPerWord; word * CodesPerWord < endRow; word++)
                for (int k = block; k < blockEnd; k += CodesPerWord)
                {
                    int count = Math.Min(CodesPerWord, blockEnd - k);
                    TransposeNibbles(words, word + k * stride, stride, count, eight);
                    for (int nibble = 0; nibble < CodesPerWord; nibble++)
                    {
                        int row = word * CodesPerWord + OutputOfNibble[nibble];
                        if (row < firstRow || row >= endRow)
                            continue;
                        Span<byte> target = codes.Slice((row - firstRow) * inFeatures + k, count);
                        if (count == CodesPerWord)
                            MemoryMarshal.Write(target, eight[nibble]);
                        else
                            MemoryMarshal.AsBytes(eight.Slice(nibble, 1))[..count].CopyTo(target);
                    }
                }
        }
    }

    /// <summary>Zero points of <paramref name="numRows"/> outputs.</summary>
    /// <param name="words">[numGroups, stride].</param>
    /// <param name="stride">Words of a group.</param>
    /// <param name="firstRow">The first output.</param>
    /// <param name="numRows">The outputs.</param>
    /// <param name="zeros">[numRows, numGroups].</param>
    public static void UnpackZeros(ReadOnlySpan<uint> words, int stride, int firstRow, int numRows, Span<byte> zeros) =>
        UnpackCodes(words, stride, firstRow, numRows, zeros);

    /// <summary>The same nibble of <paramref name="count"/> words, a byte each: the inputs of an output side by side.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TransposeNibbles(ReadOnlySpan<uint> words, int first, int stride, int count, Span<ulong> nibbles)
    {
        Vector256<uint> inputs;
        if (count == CodesPerWord)
        {
            inputs = Vector256.Create(words[first], words[first + stride], words[first + 2 * stride], words[first + 3 * stride],
                words[first + 4 * stride], words[first + 5 * stride], words[first + 6 * stride], words[first + 7 * stride]);
        }
        else
        {
            inputs = Vector256<uint>.Zero;
            for (int i = 0; i < count; i++)
                inputs = inputs.WithElement(i, words[first + i * stride]);
        }
        for (int nibble = 0; nibble < nibbles.Length; nibble++)
        {
            Vector256<uint> low = (inputs >>> (4 * nibble)) & Vector256.Create(15u);
            Vector128<ushort> halves = Vector128.Narrow(low.GetLower(), low.GetUpper());
            nibbles[nibble] = Vector128.Narrow(halves, halves).AsUInt64().ToScalar();
        }
    }
}
