using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// How quantized matrices lie in device memory. A panel is 64 rows, four strips of 16; a block is 64 inputs of a panel, its strips one behind the other.
/// Of a strip's block lane l of a warp holds rows l / 4 and l / 4 + 8 in 16 bytes (two times 16 for codes of 8 bits): just what it multiplies as the row
/// operand of four instructions of 16 inputs each (m16n8k16, or wgmma of a warpgroup whose warps have a strip each): of each 16 inputs, with t = l % 4,
/// 2t, 2t + 1, 2t + 8 and 2t + 9. Missing rows and inputs are zeros, with scales of zero. Beside the blocks, a word a row and group: the scale as a half
/// and, above it, the half 1024 + zero point; [panels, groups, strips, 16], the words of a strip in the order 0, 8, 1, 9...
/// </summary>
internal static class QuantizedLayout
{
    /// <summary>Rows of a panel.</summary>
    public const int PanelRows = 64;

    /// <summary>Rows of a strip.</summary>
    public const int StripRows = 16;

    /// <summary>Strips of a panel.</summary>
    public const int Strips = PanelRows / StripRows;

    /// <summary>Inputs of a block.</summary>
    public const int BlockInputs = 64;

    /// <summary>Inputs of an instruction.</summary>
    public const int StepInputs = 16;

    /// <summary>Bytes that a warp's lanes load together.</summary>
    public const int PlaneBytes = 512;

    /// <summary>The bits of the half 1024, whose last bit counts 1.</summary>
    public const int ZeroBase = 0x6400;

    public static int NumPanels(int outFeatures) => (outFeatures + PanelRows - 1) / PanelRows;

    public static int NumBlocks(int inFeatures) => (inFeatures + BlockInputs - 1) / BlockInputs;

    /// <summary>Bytes of a panel's block.</summary>
    public static int BlockBytes(int bits) => Strips * StripBytes(bits);

    /// <summary>Bytes of a strip's block.</summary>
    public static int StripBytes(int bits) => StripRows * BlockInputs * bits / 8;

    /// <summary>Where in a panel's group the word of a row is.</summary>
    public static int WordOf(int rowInPanel) => rowInPanel / StripRows * StripRows + rowInPanel % 8 * 2 + rowInPanel / 8 % 2;

    /// <summary>Where the byte with a code is in a panel; its lower four bits come first.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="row">The row in the panel.</param>
    /// <param name="input">The input.</param>
    public static int ByteOf(int bits, int row, int input)
    {
        int step = input % BlockInputs / StepInputs, inStep = input % StepInputs, lane = row % 8 * 4 + inStep % 8 / 2, upper = row / 8 % 2, odd = inStep % 2;
        int first = input / BlockInputs * BlockBytes(bits) + row / StripRows * StripBytes(bits) + lane * 16;
        return bits == 4
            ? first + step * 4 + odd * 2 + upper
            : first + step / 2 * PlaneBytes + step % 2 * 8 + inStep / 8 * 4 + upper * 2 + odd;
    }

    /// <summary>Which bit of that byte a code begins at.</summary>
    public static int ShiftOf(int bits, int input) => bits == 4 ? input % StepInputs / 8 * 4 : 0;

    /// <summary>Puts a row of codes into a panel. Of four bits rows share words, so one thread at a time; of eight they share no bytes.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="row">The row in the panel.</param>
    /// <param name="codes">A code a byte, for each input.</param>
    /// <param name="panel">The panel's blocks, zero where this row goes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(int bits, int row, ReadOnlySpan<byte> codes, Span<byte> panel)
    {
        int whole = codes.Length - codes.Length % StepInputs;
        for (int k = 0; k < whole; k += StepInputs)
        {
            ulong low = BinaryPrimitives.ReadUInt64LittleEndian(codes[k..]), high = BinaryPrimitives.ReadUInt64LittleEndian(codes[(k + 8)..]);
            var target = panel.Slice(ByteOf(bits, row, k) & ~3, 3 * 16 + bits); // of four lanes: a word or two each
            int upper = row / 8 % 2;
            if (bits == 4)
            {
                // Eight bytes of two codes each, spread out: between them are those of the row eight below or above.
                Vector128<uint> words = Vector128.WidenLower(Vector128.CreateScalar(low | (high << 4)).AsByte()).AsUInt32() << (8 * upper);
                for (int lane = 0; lane < 4; lane++)
                    Unsafe.As<byte, uint>(ref target[lane * 16]) |= words.GetElement(lane);
            }
            else
            {
                for (int lane = 0; lane < 4; lane++)
                {
                    BinaryPrimitives.WriteUInt16LittleEndian(target[(lane * 16 + 2 * upper)..], (ushort)(low >> (16 * lane)));
                    BinaryPrimitives.WriteUInt16LittleEndian(target[(lane * 16 + 4 + 2 * upper)..], (ushort)(high >> (16 * lane)));
                }
            }
        }
        for (int k = whole; k < codes.Length; k++)
            panel[ByteOf(bits, row, k)] |= (byte)(codes[k] << ShiftOf(bits, k));
    }
}
