using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Blocks of <see cref="QuantizedLayout"/> out of a checkpoint's words. Codes never become bytes: two nibbles that share one here come from two words by a
/// shift and a choice of bits, and so do the bytes and halves of a lane's word; four such words, one of each instruction, are then a lane's 16 bytes.
/// </summary>
internal static unsafe class QuantizedWordBlocks
{
    private const int LaneBytes = 16, LanesOfRow = 4;

    /// <summary>Packs a panel's block.</summary>
    /// <param name="words">A line an input, [64, 8]: of each, the words of outputs of the panel's eight half strips.</param>
    /// <param name="pitch">Words from a line to the next one.</param>
    /// <param name="block">The block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackOutputs(uint* words, int pitch, byte* block)
    {
        for (int i = 0; i < QuantizedLayout.Strips; i += 2, words += 4)
        {
            byte* strip = block + i * QuantizedLayout.StripBytes(4), next = strip + QuantizedLayout.StripBytes(4);
            for (int t = 0; t < LanesOfRow; t++)
            {
                uint* inputs = words + 2 * t * pitch;
                int step = QuantizedLayout.StepInputs * pitch;
                OutputsOfStep(inputs, pitch, out var even0, out var even0Next, out var odd0, out var odd0Next);
                OutputsOfStep(inputs + step, pitch, out var even1, out var even1Next, out var odd1, out var odd1Next);
                OutputsOfStep(inputs + 2 * step, pitch, out var even2, out var even2Next, out var odd2, out var odd2Next);
                OutputsOfStep(inputs + 3 * step, pitch, out var even3, out var even3Next, out var odd3, out var odd3Next);
                // The rows of nibbles 0, 2, 4 and 6 of a word, and of 1, 3, 5 and 7: see QuantizedWords.OutputOfNibble.
                StoreLanes(even0, even1, even2, even3, strip + t * LaneBytes, 0, 4, 1, 5);
                StoreLanes(odd0, odd1, odd2, odd3, strip + t * LaneBytes, 2, 6, 3, 7);
                StoreLanes(even0Next, even1Next, even2Next, even3Next, next + t * LaneBytes, 0, 4, 1, 5);
                StoreLanes(odd0Next, odd1Next, odd2Next, odd3Next, next + t * LaneBytes, 2, 6, 3, 7);
            }
        }
    }

    /// <summary>Packs a panel's block.</summary>
    /// <param name="words">A line eight inputs, [8, 64]: of each, the words of the panel's rows.</param>
    /// <param name="pitch">Words from a line to the next one.</param>
    /// <param name="block">The block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackInputs(uint* words, int pitch, byte* block)
    {
        const int Rows = 4; // of a vector
        for (int i = 0; i < QuantizedLayout.Strips; i++, words += QuantizedLayout.StripRows, block += QuantizedLayout.StripBytes(4))
            for (int row = 0; row < QuantizedWordRows.Eight; row += Rows)
            {
                InputsOfStep(words + row, pitch, out var a0, out var b0, out var c0, out var d0);
                InputsOfStep(words + row + 2 * pitch, pitch, out var a1, out var b1, out var c1, out var d1);
                InputsOfStep(words + row + 4 * pitch, pitch, out var a2, out var b2, out var c2, out var d2);
                InputsOfStep(words + row + 6 * pitch, pitch, out var a3, out var b3, out var c3, out var d3);
                byte* lanes = block + row * LanesOfRow * LaneBytes;
                StoreLanes(a0, a1, a2, a3, lanes, 0, 1, 2, 3);
                StoreLanes(b0, b1, b2, b3, lanes + LaneBytes, 0, 1, 2, 3);
                StoreLanes(c0, c1, c2, c3, lanes + 2 * LaneBytes, 0, 1, 2, 3);
                StoreLanes(d0, d1, d2, d3, lanes + 3 * LaneBytes, 0, 1, 2, 3);
            }
    }

    /// <summary>What lanes of one t have of an instruction's 16 inputs, for two strips: words of rows 0, 4, 1 and 5 and of rows 2, 6, 3 and 7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OutputsOfStep(
        uint* inputs, int pitch, out Vector128<uint> even, out Vector128<uint> evenNext, out Vector128<uint> odd, out Vector128<uint> oddNext)
    {
        Vector128<uint> first = Vector128.Load(inputs), second = Vector128.Load(inputs + pitch);
        Vector128<uint> high = Vector128.Load(inputs + 8 * pitch), highSecond = Vector128.Load(inputs + 9 * pitch);
        NibbleVectors.Halves(Rows(NibbleVectors.LowNibbles(first, high)), Rows(NibbleVectors.LowNibbles(second, highSecond)), out even, out evenNext);
        NibbleVectors.Halves(Rows(NibbleVectors.HighNibbles(first, high)), Rows(NibbleVectors.HighNibbles(second, highSecond)), out odd, out oddNext);
    }

    /// <summary>What the lanes of four rows have of an instruction's 16 inputs, those of each t together.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InputsOfStep(uint* words, int pitch, out Vector128<uint> t0, out Vector128<uint> t1, out Vector128<uint> t2, out Vector128<uint> t3)
    {
        Vector128<uint> low = Vector128.Load(words), high = Vector128.Load(words + pitch);
        Vector128<uint> lowBelow = Vector128.Load(words + QuantizedWordRows.Eight), highBelow = Vector128.Load(words + pitch + QuantizedWordRows.Eight);
        NibbleVectors.Bytes(NibbleVectors.LowNibbles(low, high), NibbleVectors.LowNibbles(lowBelow, highBelow), out var even, out var even13);
        NibbleVectors.Bytes(NibbleVectors.HighNibbles(low, high), NibbleVectors.HighNibbles(lowBelow, highBelow), out var odd, out var odd13);
        NibbleVectors.Halves(even, odd, out t0, out t2);
        NibbleVectors.Halves(even13, odd13, out t1, out t3);
    }

    /// <summary>Of four words, two of a strip and two of the next one: the first bytes of all in a word, then the second ones, and so on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Rows(Vector128<uint> words) =>
        Vector128.Shuffle(words.AsByte(), Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)).AsUInt32();

    /// <summary>Stores the words that four rows' lanes have of four instructions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreLanes(Vector128<uint> a, Vector128<uint> b, Vector128<uint> c, Vector128<uint> d, byte* lanes, int row0, int row1, int row2, int row3)
    {
        Vector128<float> first = a.AsSingle(), second = b.AsSingle(), third = c.AsSingle(), fourth = d.AsSingle();
        Transpose.Square(ref first, ref second, ref third, ref fourth);
        first.Store((float*)(lanes + row0 * LanesOfRow * LaneBytes));
        second.Store((float*)(lanes + row1 * LanesOfRow * LaneBytes));
        third.Store((float*)(lanes + row2 * LanesOfRow * LaneBytes));
        fourth.Store((float*)(lanes + row3 * LanesOfRow * LaneBytes));
    }
}
