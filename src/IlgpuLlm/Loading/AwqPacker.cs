using System.Buffers.Binary;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>Packs what <see cref="AwqUnpacker"/> unpacks: AutoAWQ's GEMM layout.</summary>
internal static class AwqPacker
{
    /// <summary>Packs codes, or zero points.</summary>
    /// <param name="codes">[numRows, width]: of each output its inputs, or its groups.</param>
    /// <param name="numRows">Outputs, a multiple of <see cref="QuantizedWords.CodesPerWord"/>.</param>
    /// <returns>Words in the order of a file: [width, numRows / 8].</returns>
    public static byte[] Pack(ReadOnlyMemory<byte> codes, int numRows)
    {
        int width = codes.Length / numRows, wordsPerInput = numRows / QuantizedWords.CodesPerWord;
        byte[] packed = new byte[checked(width * wordsPerInput * sizeof(uint))];
        Parallel.For(0, wordsPerInput, word =>
        {
            var source = codes.Span.Slice(word * QuantizedWords.CodesPerWord * width, QuantizedWords.CodesPerWord * width);
            for (int k = 0; k < width; k++)
            {
                uint bits = 0;
                for (int nibble = 0; nibble < QuantizedWords.CodesPerWord; nibble++)
                    bits |= (uint)source[QuantizedWords.OutputOfNibble[nibble] * width + k] << (4 * nibble);
                BinaryPrimitives.WriteUInt32LittleEndian(packed.AsSpan((k * wordsPerInput + word) * sizeof(uint)), bits);
            }
        });
        return packed;
    }
}
