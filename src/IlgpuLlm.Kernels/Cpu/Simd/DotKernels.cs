using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Codes times 8-bit activations: sums[row] (+)= sum over blocks of scale[block, row] * (codes . x[block, row]), for the outputs of one vector. The products of
/// a block of 32 inputs are integers; blocks are added in order, for one row as for many.
/// </summary>
internal static unsafe class DotKernels<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>Bytes of a row's block of activations for <see cref="MultiplyDots"/>.</summary>
    public const int DotBytes = CpuDotLayout.BlockLength + sizeof(int);

    private static int Chunk => TSimd.Count * sizeof(int);

    /// <summary>4-bit codes: [numBlocks, 4 chunks, outputs, 4 bytes], byte j of a chunk being inputs j and 4 + j. x: bytes, [numBlocks, rows, 32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply4(byte* codes, byte* x, float* scales, int numBlocks, int rows, TVec* sums)
    {
        if (rows == 1)
        {
            TVec sum = default;
            for (int block = 0; block < numBlocks; block++, codes += 4 * Chunk, x += 32)
            {
                Prefetch.Ahead(codes, 4 * Chunk);
                TVec shorts = TSimd.AddShorts(TSimd.AddShorts(MultiplyChunk4(codes, x), MultiplyChunk4(codes + Chunk, x + 8)),
                    TSimd.AddShorts(MultiplyChunk4(codes + 2 * Chunk, x + 16), MultiplyChunk4(codes + 3 * Chunk, x + 24)));
                sum = TSimd.MulAdd(TSimd.ShortsToFloats(shorts), TSimd.Broadcast(scales[block]), sum);
            }
            *sums = sum;
            return;
        }
        for (int row = 0; row < rows; row++)
            sums[row] = default;
        for (int block = 0; block < numBlocks; block++, codes += 4 * Chunk)
        {
            Prefetch.Ahead(codes, 4 * Chunk);
            TSimd.SplitNibbles(codes, out TVec c0, out TVec c1);
            TSimd.SplitNibbles(codes + Chunk, out TVec c2, out TVec c3);
            TSimd.SplitNibbles(codes + 2 * Chunk, out TVec c4, out TVec c5);
            TSimd.SplitNibbles(codes + 3 * Chunk, out TVec c6, out TVec c7);
            for (int row = 0; row < rows; row++, x += 32, scales++)
            {
                int* quads = (int*)x;
                // At most 8 * 2 * 15 * 127 = 30,480 in a short.
                TVec a = TSimd.AddShorts(TSimd.MultiplyBytes(c0, TSimd.BroadcastBits(quads)), TSimd.MultiplyBytes(c1, TSimd.BroadcastBits(quads + 1)));
                TVec b = TSimd.AddShorts(TSimd.MultiplyBytes(c2, TSimd.BroadcastBits(quads + 2)), TSimd.MultiplyBytes(c3, TSimd.BroadcastBits(quads + 3)));
                TVec c = TSimd.AddShorts(TSimd.MultiplyBytes(c4, TSimd.BroadcastBits(quads + 4)), TSimd.MultiplyBytes(c5, TSimd.BroadcastBits(quads + 5)));
                TVec d = TSimd.AddShorts(TSimd.MultiplyBytes(c6, TSimd.BroadcastBits(quads + 6)), TSimd.MultiplyBytes(c7, TSimd.BroadcastBits(quads + 7)));
                TVec shorts = TSimd.AddShorts(TSimd.AddShorts(a, b), TSimd.AddShorts(c, d));
                sums[row] = TSimd.MulAdd(TSimd.ShortsToFloats(shorts), TSimd.Broadcast(*scales), sums[row]);
            }
        }
    }

    /// <summary>8-bit codes: [numBlocks, 8 chunks, outputs, 4 bytes]. x: shorts, [numBlocks, rows, 32], inputs 0, 2, 1, 3 of each four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply8(byte* codes, byte* x, float* scales, int numBlocks, int rows, TVec* sums)
    {
        for (int row = 0; row < rows; row++)
            sums[row] = default;
        for (int block = 0; block < numBlocks; block++, codes += 8 * Chunk)
        {
            Prefetch.Ahead(codes, 8 * Chunk);
            for (int row = 0; row < rows; row++, x += 64, scales++)
            {
                TVec ints = default;
                for (int chunk = 0; chunk < 8; chunk++)
                {
                    TSimd.SplitBytes(codes + chunk * Chunk, out TVec even, out TVec odd);
                    ints = TSimd.AddInts(ints, TSimd.AddInts(TSimd.MultiplyShorts(even, TSimd.BroadcastBits((int*)x + 2 * chunk)),
                        TSimd.MultiplyShorts(odd, TSimd.BroadcastBits((int*)x + 2 * chunk + 1))));
                }
                sums[row] = TSimd.MulAdd(TSimd.IntsToFloats(ints), TSimd.Broadcast(*scales), sums[row]);
            }
        }
    }

    /// <summary>
    /// Codes of 4 or 8 bits where <see cref="ISimdDot{TVec}.HasDots"/>. x: [numBlocks, rows], each the activations as 32 bytes in order and the integer that the
    /// products start from.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyDots(int bits, byte* codes, byte* x, float* scales, int numBlocks, int rows, TVec* sums)
    {
        int length = bits * Chunk;
        if (rows == 1)
        {
            TVec sum = default;
            for (int block = 0; block < numBlocks; block++, codes += length, x += DotBytes)
            {
                TVec ints = TSimd.BroadcastBits((int*)x + 8);
                ints = TSimd.AddInts(AddDots(bits, 0, codes, x, ints), AddDots(bits, 1, codes, x, default));
                sum = TSimd.MulAdd(TSimd.IntsToFloats(ints), TSimd.Broadcast(scales[block]), sum);
            }
            *sums = sum;
            return;
        }
        for (int row = 0; row < rows; row++)
            sums[row] = default;
        for (int block = 0; block < numBlocks; block++, codes += length)
        {
            LoadHalfBlock(bits, 0, codes, out TVec c0, out TVec c1, out TVec c2, out TVec c3);
            LoadHalfBlock(bits, 1, codes, out TVec c4, out TVec c5, out TVec c6, out TVec c7);
            for (int row = 0; row < rows; row++, x += DotBytes, scales++)
            {
                TVec a = TSimd.AddDots(TSimd.BroadcastBits((int*)x + 8), c0, c1, c2, c3, (sbyte*)x), b = TSimd.AddDots(default, c4, c5, c6, c7, (sbyte*)x + 16);
                sums[row] = TSimd.MulAdd(TSimd.IntsToFloats(TSimd.AddInts(a, b)), TSimd.Broadcast(*scales), sums[row]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec AddDots(int bits, int half, byte* codes, byte* x, TVec ints)
    {
        LoadHalfBlock(bits, half, codes, out TVec c0, out TVec c1, out TVec c2, out TVec c3);
        return TSimd.AddDots(ints, c0, c1, c2, c3, (sbyte*)x + 16 * half);
    }

    /// <summary>The codes of inputs 0 to 15 or 16 to 31 of a block, four inputs a vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadHalfBlock(int bits, int half, byte* codes, out TVec c0, out TVec c1, out TVec c2, out TVec c3)
    {
        if (bits == 4)
        {
            codes += 2 * half * Chunk;
            Prefetch.Ahead(codes, 2 * Chunk);
            TSimd.SplitNibbles(codes, out c0, out c1);
            TSimd.SplitNibbles(codes + Chunk, out c2, out c3);
            return;
        }
        codes += 4 * half * Chunk;
        Prefetch.Ahead(codes, 4 * Chunk);
        (c0, c1) = (TSimd.LoadCodes(codes), TSimd.LoadCodes(codes + Chunk));
        (c2, c3) = (TSimd.LoadCodes(codes + 2 * Chunk), TSimd.LoadCodes(codes + 3 * Chunk));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec MultiplyChunk4(byte* codes, byte* x)
    {
        TSimd.SplitNibbles(codes, out TVec low, out TVec high);
        return TSimd.AddShorts(TSimd.MultiplyBytes(low, TSimd.BroadcastBits((int*)x)), TSimd.MultiplyBytes(high, TSimd.BroadcastBits((int*)x + 1)));
    }
}
