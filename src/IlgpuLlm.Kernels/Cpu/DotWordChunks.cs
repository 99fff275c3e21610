using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Chunks of <see cref="CpuDotLayout"/>, eight inputs of an output in four bytes, out of a checkpoint's words.</summary>
internal static unsafe class DotWordChunks
{
    /// <summary>Outputs whose bytes lie together.</summary>
    public const int Outputs = 4;

    /// <summary>Outputs that <see cref="OfOutputs"/> makes.</summary>
    public const int OutputsTogether = 32;

    /// <summary>Packs eight inputs of <see cref="OutputsTogether"/> outputs.</summary>
    /// <param name="words">A line an input, [8, 4].</param>
    /// <param name="pitch">Words from a line to the next one.</param>
    /// <param name="chunks">The bytes, in the order of outputs.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void OfOutputs(uint* words, int pitch, uint* chunks)
    {
        Pair(words, pitch, out var even0, out var even1, out var odd0, out var odd1);
        Pair(words + 2 * pitch, pitch, out var even2, out var even3, out var odd2, out var odd3);
        // Of a byte pair's words: bytes 0 and 2 are of nibbles 0 and 4, bytes 1 and 3 of 2 and 6, and of odd ones 1 and 5, 3 and 7. See QuantizedWords.OutputOfNibble.
        NibbleVectors.Halves(even0, even2, out var row0, out var row1);
        NibbleVectors.Halves(even1, even3, out var row4, out var row5);
        NibbleVectors.Halves(odd0, odd2, out var row2, out var row3);
        NibbleVectors.Halves(odd1, odd3, out var row6, out var row7);
        StoreOutputs(row0, row1, row2, row3, chunks);
        StoreOutputs(row4, row5, row6, row7, chunks + Outputs);
    }

    /// <summary>Packs eight inputs of <see cref="Outputs"/> outputs.</summary>
    /// <param name="words">The outputs' words.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> OfInputs(Vector128<uint> words) => Spread(words & Vector128.Create(0xFFFFu)) | (Spread(words >>> 16) << 4);

    /// <summary>Bytes of two inputs, and those of the inputs four after them, by turns: of outputs 0 and 1, 4 and 5, 2 and 3, 6 and 7 of a word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pair(uint* words, int pitch, out Vector128<uint> even, out Vector128<uint> evenHigh, out Vector128<uint> odd, out Vector128<uint> oddHigh)
    {
        Vector128<uint> first = Vector128.Load(words), second = Vector128.Load(words + pitch);
        Vector128<uint> high = Vector128.Load(words + 4 * pitch), highSecond = Vector128.Load(words + 5 * pitch);
        NibbleVectors.Bytes(NibbleVectors.LowNibbles(first, high), NibbleVectors.LowNibbles(second, highSecond), out even, out evenHigh);
        NibbleVectors.Bytes(NibbleVectors.HighNibbles(first, high), NibbleVectors.HighNibbles(second, highSecond), out odd, out oddHigh);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreOutputs(Vector128<uint> a, Vector128<uint> b, Vector128<uint> c, Vector128<uint> d, uint* chunks)
    {
        Vector128<float> first = a.AsSingle(), second = b.AsSingle(), third = c.AsSingle(), fourth = d.AsSingle();
        Transpose.Square(ref first, ref second, ref third, ref fourth);
        first.Store((float*)chunks);
        second.Store((float*)(chunks + 2 * Outputs));
        third.Store((float*)(chunks + 4 * Outputs));
        fourth.Store((float*)(chunks + 6 * Outputs));
    }

    /// <summary>The four nibbles of lower halves as bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Spread(Vector128<uint> halves)
    {
        Vector128<uint> bytes = (halves | (halves << 8)) & Vector128.Create(0x00FF00FFu);
        return (bytes | (bytes << 4)) & Vector128.Create(0x0F0F0F0Fu);
    }
}
