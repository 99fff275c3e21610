using System.Runtime.InteropServices;

namespace IlgpuLlm.Loading;

/// <summary>Packs what <see cref="GptqUnpacker"/> unpacks: AutoGPTQ's layout with 8 bits, four codes in a word, the first one in its lowest byte.</summary>
internal static class GptqPacker
{
    /// <summary>Codes of 8 bits in a word.</summary>
    public const int CodesPerWord = 4;

    /// <summary>Packs codes: words of neighbouring inputs.</summary>
    /// <param name="codes">[numRows, inFeatures]; inFeatures a multiple of 4.</param>
    /// <param name="numRows">Outputs.</param>
    /// <returns>Words in the order of a file: [inFeatures / 4, numRows].</returns>
    public static byte[] PackCodes(ReadOnlyMemory<byte> codes, int numRows)
    {
        int wordsPerRow = codes.Length / numRows / CodesPerWord;
        uint[] packed = new uint[numRows * wordsPerRow];
        Parallel.For(0, wordsPerRow, word =>
        {
            var words = MemoryMarshal.Cast<byte, uint>(codes.Span);
            for (int row = 0; row < numRows; row++)
                packed[word * numRows + row] = words[row * wordsPerRow + word];
        });
        return MemoryMarshal.AsBytes<uint>(packed).ToArray();
    }

    /// <summary>Packs zero points, less one as the format has them: words of neighbouring outputs.</summary>
    /// <param name="zeros">[numRows, numGroups], from 1 on; numRows a multiple of 4.</param>
    /// <param name="numRows">Outputs.</param>
    /// <returns>Words in the order of a file: [numGroups, numRows / 4].</returns>
    public static byte[] PackZeros(ReadOnlySpan<byte> zeros, int numRows)
    {
        int numGroups = zeros.Length / numRows;
        byte[] packed = new byte[zeros.Length];
        for (int row = 0; row < numRows; row++)
        {
            for (int group = 0; group < numGroups; group++)
                packed[group * numRows + row] = checked((byte)(zeros[row * numGroups + group] - 1));
        }
        return packed;
    }
}
