namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// How quantized matrices lie in device memory. A strip is 16 rows; a block is 64 inputs of a strip, of which lane l of a warp holds row l / 4, row
/// l / 4 + 8, and of both inputs 16 (l % 4)... in 16 bytes (two times 16 for codes of 8 bits): just what it multiplies as the row operand of four
/// m16n8k16 instructions, whose k is therefore no order of inputs but a permutation of 64. Instruction j takes inputs 4j...4j + 3 of each lane's 16.
/// Missing rows and inputs are zeros, with scales of zero. Beside the blocks, a word a row and group: the scale as a half and, above it, the half
/// 1024 + zero point; the words of a strip's group lie in the order 0, 8, 1, 9...
/// </summary>
internal static class QuantizedLayout
{
    /// <summary>Rows of a strip.</summary>
    public const int StripRows = 16;

    /// <summary>Inputs of a block.</summary>
    public const int BlockInputs = 64;

    /// <summary>Inputs of a row that a lane holds of a block.</summary>
    public const int LaneInputs = 16;

    /// <summary>Bytes that a warp's lanes load together.</summary>
    public const int PlaneBytes = 512;

    /// <summary>The bits of the half 1024, whose last bit counts 1.</summary>
    public const int ZeroBase = 0x6400;

    public static int NumStrips(int outFeatures) => (outFeatures + StripRows - 1) / StripRows;

    public static int NumBlocks(int inFeatures) => (inFeatures + BlockInputs - 1) / BlockInputs;

    /// <summary>Bytes of a block.</summary>
    public static int BlockBytes(int bits) => StripRows * BlockInputs * bits / 8;

    /// <summary>Where in a strip's group the word of a row is.</summary>
    public static int WordOf(int rowInStrip) => rowInStrip % 8 * 2 + rowInStrip / 8;

    /// <summary>Where the byte with a code is in a strip; its lower four bits come first.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="row">The row in the strip.</param>
    /// <param name="input">The input.</param>
    public static int ByteOf(int bits, int row, int input)
    {
        int inBlock = input % BlockInputs, lane = row % 8 * 4 + inBlock / LaneInputs, step = inBlock % LaneInputs / 4, i = input % 4, upper = row / 8;
        return bits == 4
            ? input / BlockInputs * PlaneBytes + lane * 16 + step * 4 + i % 2 * 2 + upper
            : input / BlockInputs * (2 * PlaneBytes) + step / 2 * PlaneBytes + lane * 16 + step % 2 * 8 + i / 2 * 4 + upper * 2 + i % 2;
    }

    /// <summary>Which bit of that byte a code begins at.</summary>
    public static int ShiftOf(int bits, int input) => bits == 4 ? input % 4 / 2 * 4 : 0;

    /// <summary>Puts a row of codes into a strip. Rows share words, but no bytes.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="row">The row in the strip.</param>
    /// <param name="codes">A code a byte, for each input.</param>
    /// <param name="strip">The strip's blocks, zero where this row goes.</param>
    public static void Pack(int bits, int row, ReadOnlySpan<byte> codes, Span<byte> strip)
    {
        int whole = codes.Length - codes.Length % 4;
        for (int k = 0; k < whole; k += 4)
        {
            int at = ByteOf(bits, row, k);
            if (bits == 4)
            {
                strip[at] = (byte)(codes[k] | (codes[k + 2] << 4));
                strip[at + 2] = (byte)(codes[k + 1] | (codes[k + 3] << 4));
            }
            else
            {
                codes.Slice(k, 2).CopyTo(strip[at..]);
                codes.Slice(k + 2, 2).CopyTo(strip[(at + 4)..]);
            }
        }
        for (int k = whole; k < codes.Length; k++)
            strip[ByteOf(bits, row, k)] |= (byte)(codes[k] << ShiftOf(bits, k));
    }
}
