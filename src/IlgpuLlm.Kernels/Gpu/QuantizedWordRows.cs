using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Rows of a checkpoint's words in the order in which panels have them, eight at a time: those of one matrix, or those of gate and up by turns.</summary>
internal readonly ref struct QuantizedWordRows
{
    /// <summary>Rows that lie together: those of a word of outputs, half of a strip, and a block of gates or ups.</summary>
    public const int Eight = QuantizedWords.CodesPerWord;

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

    /// <summary>Copies words of codes of some eights.</summary>
    /// <param name="line">The input, or the eight inputs of a word.</param>
    /// <param name="first">The first eight, the first of a pair.</param>
    /// <param name="target">[eights, <see cref="WordsOfEight"/>].</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void CopyCodes(int line, int first, Span<uint> target)
    {
        int words = WordsOfEight;
        ReadOnlySpan<uint> source = _first.Codes[FirstWord(line, first)..];
        if (!_isPaired)
            source[..target.Length].CopyTo(target);
        else if (words == 1)
            Interleave(source, _second.Codes[FirstWord(line, first)..], target);
        else
            for (int i = 0; i < target.Length; i += 2 * words)
            {
                source.Slice(i / 2, words).CopyTo(target[i..]);
                _second.Codes.Slice(FirstWord(line, first) + i / 2, words).CopyTo(target[(i + words)..]);
            }
    }

    /// <summary>Has the processor fetch what <see cref="CopyCodes"/> will read.</summary>
    /// <param name="line">The line.</param>
    /// <param name="first">The first eight.</param>
    /// <param name="numWords">The words of all eights.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void FetchCodes(int line, int first, int numWords)
    {
        Fetch(_first.Codes.Slice(FirstWord(line, first), _isPaired ? numWords / 2 : numWords));
        if (_isPaired)
            Fetch(_second.Codes.Slice(FirstWord(line, first), numWords / 2));
    }

    /// <summary>The scales of an eight's rows, and their zero points as they are in the checkpoint.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<ushort> Scales(int group, int eight, out uint zeros)
    {
        QuantizedWords source = _isPaired && eight % 2 != 0 ? _second : _first;
        int at = group * (source.OutFeatures / Eight) + _firstEight + (_isPaired ? eight / 2 : eight);
        zeros = source.Zeros[at];
        return MemoryMarshal.Cast<Half, ushort>(source.Scales.Slice(at * Eight, Eight));
    }

    /// <summary>What is added to zero points.</summary>
    public int ZeroAddend(int eight) => (_isPaired && eight % 2 != 0 ? _second : _first).ZeroAddend;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int FirstWord(int line, int eight) => (line * (_first.OutFeatures / Eight) + _firstEight + (_isPaired ? eight / 2 : eight)) * WordsOfEight;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Fetch(ReadOnlySpan<uint> words)
    {
        fixed (uint* first = words)
            for (byte* line = (byte*)((nint)first & -Prefetch.LineLength); line < first + words.Length; line += Prefetch.LineLength)
                Prefetch.Line(line);
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
