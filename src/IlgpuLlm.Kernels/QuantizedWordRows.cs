using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels;

/// <summary>
/// Rows of a checkpoint's words, eight at a time: those of one matrix, or those of gate and up by turns. A line is what the file has one behind the other: words of all
/// outputs, of one input or of eight. Codes are read a block of inputs and some rows at a time: lines are multiples of a page apart, evict each other from the cache
/// and come late from memory, so that each is read once and asked for a block before.
/// </summary>
internal readonly ref struct QuantizedWordRows
{
    /// <summary>Rows that lie together: those of a word of outputs, and a block of gates or ups.</summary>
    public const int Eight = QuantizedWords.CodesPerWord;

    /// <summary>Inputs of a block.</summary>
    public const int BlockInputs = 64;

    /// <summary>Eights that are read together, at most: 128 or 1,024 bytes of a line.</summary>
    public const int EightsTogether = 32;

    /// <summary>Words that are read together, at most.</summary>
    public const int WordsTogether = EightsTogether * BlockInputs;

    private readonly QuantizedWords _first, _second;
    private readonly bool _isPaired;
    private readonly int _firstEight;

    /// <summary>Rows of one matrix.</summary>
    public QuantizedWordRows(QuantizedWords source, int firstRow, int numRows)
    {
        _first = source;
        (_firstEight, NumEights) = (firstRow / Eight, numRows / Eight);
    }

    /// <summary>Rows of the gate and the same ones of up.</summary>
    public QuantizedWordRows(QuantizedWords gate, QuantizedWords up, int firstRow, int numRows)
    {
        _first = gate;
        _second = up;
        (_isPaired, _firstEight, NumEights) = (true, firstRow / Eight, numRows / Eight * 2);
    }

    private QuantizedWordRows(QuantizedWordRows rows, int firstEight, int numEights)
    {
        this = rows;
        (_firstEight, NumEights) = (rows._firstEight + (rows._isPaired ? firstEight / 2 : firstEight), numEights);
    }

    /// <summary>How codes lie in words.</summary>
    public QuantizedWordLayout Layout => _first.Layout;

    /// <summary>The rows, in eights.</summary>
    public int NumEights { get; }

    /// <summary>Words of eight rows that lie together.</summary>
    public int WordsOfEight => Layout == QuantizedWordLayout.Outputs ? 1 : Eight;

    /// <summary>Some eights, whole pairs of them.</summary>
    public QuantizedWordRows Slice(int first, int count) => new(this, first, count);

    /// <summary>Words from a line to the next one, as <see cref="ReadCodes"/> reads them.</summary>
    public int Pitch => EightsTogether * WordsOfEight;

    /// <summary>Inputs of a word.</summary>
    private int InputsOfLine => Layout == QuantizedWordLayout.Outputs ? 1 : QuantizedWords.CodesPerWord;

    /// <summary>Reads words of codes.</summary>
    /// <param name="block">The block of inputs.</param>
    /// <param name="first">The first eight, the first of a pair.</param>
    /// <param name="count">The eights to fill; those that are missing, as inputs that are missing in the last block, become zeros.</param>
    /// <param name="target">[lines of a block, <see cref="Pitch"/>], of which the first words are filled; <see cref="WordsTogether"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ReadCodes(int block, int first, int count, Span<uint> target)
    {
        int numLines = BlockInputs / InputsOfLine, end = _first.Codes.Length / (_first.OutFeatures / Eight * WordsOfEight);
        int numWords = count * WordsOfEight, present = Math.Min(count, NumEights - first) * WordsOfEight;
        for (int i = 0; i < numLines; i++)
        {
            int line = block * numLines + i;
            Span<uint> words = target.Slice(i * Pitch, numWords);
            if (line >= end)
            {
                words.Clear();
                continue;
            }
            CopyLine(line, first, words[..present]);
            words[present..].Clear();
            if (line + numLines < end)
                FetchLine(line + numLines, first, present);
        }
    }

    /// <summary>Reads what an eight's rows have in a group.</summary>
    /// <param name="group">The group.</param>
    /// <param name="eight">The eight.</param>
    /// <param name="zeros">Their zero points.</param>
    /// <returns>The bits of their scales.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<ushort> ReadGroup(int group, int eight, Span<byte> zeros)
    {
        QuantizedWords source = _isPaired && eight % 2 != 0 ? _second : _first;
        int at = group * (source.OutFeatures / Eight) + _firstEight + (_isPaired ? eight / 2 : eight);
        uint word = source.Zeros[at], addend = (uint)source.ZeroAddend;
        for (int nibble = 0; nibble < Eight; nibble++)
            zeros[Layout == QuantizedWordLayout.Outputs ? QuantizedWords.OutputOfNibble[nibble] : nibble] = (byte)(((word >> (4 * nibble)) + addend) & 15);
        return MemoryMarshal.Cast<Half, ushort>(source.Scales.Slice(at * Eight, Eight));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CopyLine(int line, int first, Span<uint> target)
    {
        int words = WordsOfEight, from = FirstWord(line, first);
        ReadOnlySpan<uint> source = _first.Codes[from..];
        if (!_isPaired)
            Copy(source[..target.Length], target);
        else if (words == 1)
            Interleave(source, _second.Codes[from..], target);
        else
            for (int i = 0; i < target.Length; i += 2 * words)
            {
                Copy(source.Slice(i / 2, words), target.Slice(i, words));
                Copy(_second.Codes.Slice(from + i / 2, words), target.Slice(i + words, words));
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void FetchLine(int line, int first, int numWords)
    {
        int from = FirstWord(line, first);
        Fetch(_first.Codes.Slice(from, _isPaired ? numWords / 2 : numWords));
        if (_isPaired)
            Fetch(_second.Codes.Slice(from, numWords / 2));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int FirstWord(int line, int eight) => (line * (_first.OutFeatures / Eight) + _firstEight + (_isPaired ? eight / 2 : eight)) * WordsOfEight;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Fetch(ReadOnlySpan<uint> words)
    {
        fixed (uint* first = words)
            for (byte* line = (byte*)((nint)first & -Prefetch.LineLength); line < first + words.Length; line += Prefetch.LineLength)
                Prefetch.Line(line);
    }

    /// <summary>Copies words. The runtime's own copy takes until it is compiled anew, which loading does not last: 0.65 instead of 0.3 ns a code.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(ReadOnlySpan<uint> source, Span<uint> target)
    {
        int i = 0;
        for (; i <= target.Length - Vector256<uint>.Count; i += Vector256<uint>.Count)
            Vector256.Create(source.Slice(i, Vector256<uint>.Count)).CopyTo(target[i..]);
        for (; i < target.Length; i++)
            target[i] = source[i];
    }

    /// <summary>Words of both by turns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(ReadOnlySpan<uint> even, ReadOnlySpan<uint> odd, Span<uint> target)
    {
        int i = 0;
        for (; i <= target.Length - 8; i += 8)
        {
            Vector128<uint> a = Vector128.Create(even.Slice(i / 2, 4)), b = Vector128.Create(odd.Slice(i / 2, 4));
            (Vector128.WidenLower(a) | (Vector128.WidenLower(b) << 32)).AsUInt32().CopyTo(target[i..]);
            (Vector128.WidenUpper(a) | (Vector128.WidenUpper(b) << 32)).AsUInt32().CopyTo(target[(i + 4)..]);
        }
        for (; i < target.Length; i++)
            target[i] = i % 2 == 0 ? even[i / 2] : odd[i / 2];
    }
}
