using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>AutoAWQ's GEMM layout: a word of 32 bits holds 8 neighbouring outputs of one input.</summary>
internal static class AwqUnpacker
{
    private const int StepInputs = 4; // that are transposed at a time
    private const int BlockInputs = 64; // of an output: a cache line of codes
    private const int BlockWords = 16; // of an input: a cache line

    /// <summary>Codes of <paramref name="numRows"/> outputs.</summary>
    /// <param name="words">[inFeatures, stride].</param>
    /// <param name="stride">Words of an input.</param>
    /// <param name="firstRow">The first output.</param>
    /// <param name="numRows">The outputs.</param>
    /// <param name="codes">[numRows, inFeatures].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackCodes(ReadOnlySpan<uint> words, int stride, int firstRow, int numRows, Span<byte> codes)
    {
        int inFeatures = words.Length / stride, endWord = (firstRow + numRows + QuantizedWords.CodesPerWord - 1) / QuantizedWords.CodesPerWord;
        Span<uint> lines = stackalloc uint[BlockInputs * BlockWords]; // [inputs, words]: in the file, lines are multiples of a page apart and evict each other
        for (int word = firstRow / QuantizedWords.CodesPerWord; word < endWord; word += BlockWords)
            for (int block = 0; block < inFeatures; block += BlockInputs)
            {
                int numWords = Math.Min(BlockWords, endWord - word), count = Math.Min(BlockInputs, inFeatures - block);
                for (int k = 0; k < count; k++)
                    words.Slice((block + k) * stride + word, numWords).CopyTo(lines[(k * BlockWords)..]);
                for (int i = 0; i < numWords; i++)
                {
                    int row = (word + i) * QuantizedWords.CodesPerWord - firstRow;
                    if (row >= 0 && row + QuantizedWords.CodesPerWord <= numRows)
                        UnpackWord(lines[i..], count, codes[(row * inFeatures + block)..], inFeatures);
                    else
                        UnpackRows(lines[i..], count, codes, inFeatures, block, row, numRows);
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

    /// <summary>All outputs of a word.</summary>
    /// <param name="words">Of inputs that follow each other, <see cref="BlockWords"/> apart.</param>
    /// <param name="count">Inputs.</param>
    /// <param name="codes">From the first output's code of the first input on.</param>
    /// <param name="pitch">From an output to the next one.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void UnpackWord(ReadOnlySpan<uint> words, int count, Span<byte> codes, int pitch)
    {
        int k = 0;
        for (; k + StepInputs <= count; k += StepInputs)
        {
            Vector128<uint> inputs = Vector128.Create(
                words[k * BlockWords], words[(k + 1) * BlockWords], words[(k + 2) * BlockWords], words[(k + 3) * BlockWords]);
            Vector128<uint> even = Transpose(inputs), odd = Transpose(inputs >>> 4); // nibbles 0, 2, 4, 6 and 1, 3, 5, 7
            MemoryMarshal.Write(codes[k..], even.GetElement(0));
            MemoryMarshal.Write(codes[(4 * pitch + k)..], even.GetElement(1));
            MemoryMarshal.Write(codes[(pitch + k)..], even.GetElement(2));
            MemoryMarshal.Write(codes[(5 * pitch + k)..], even.GetElement(3));
            MemoryMarshal.Write(codes[(2 * pitch + k)..], odd.GetElement(0));
            MemoryMarshal.Write(codes[(6 * pitch + k)..], odd.GetElement(1));
            MemoryMarshal.Write(codes[(3 * pitch + k)..], odd.GetElement(2));
            MemoryMarshal.Write(codes[(7 * pitch + k)..], odd.GetElement(3));
        }
        for (; k < count; k++)
            for (int nibble = 0; nibble < QuantizedWords.CodesPerWord; nibble++)
                codes[QuantizedWords.OutputOfNibble[nibble] * pitch + k] = (byte)((words[k * BlockWords] >> (4 * nibble)) & 15);
    }

    /// <summary>Of four words, the lower four bits of each byte, the first bytes of all in a word, and so on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Transpose(Vector128<uint> words) =>
        Vector128.Shuffle((words & Vector128.Create(0x0F0F0F0Fu)).AsByte(), Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)).AsUInt32();

    /// <summary>Those outputs of a word that are asked for.</summary>
    private static void UnpackRows(ReadOnlySpan<uint> words, int count, Span<byte> codes, int inFeatures, int block, int firstRow, int numRows)
    {
        for (int nibble = 0; nibble < QuantizedWords.CodesPerWord; nibble++)
        {
            int row = firstRow + QuantizedWords.OutputOfNibble[nibble];
            if (row < 0 || row >= numRows)
                continue;
            for (int k = 0; k < count; k++)
                codes[row * inFeatures + block + k] = (byte)((words[k * BlockWords] >> (4 * nibble)) & 15);
        }
    }
}
