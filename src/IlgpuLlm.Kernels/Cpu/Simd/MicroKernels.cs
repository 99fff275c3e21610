using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Register tiles of c (+)= a b: some rows of packed activations, a [depth, rows], times one panel's block, b [depth, 2 vectors], into c with a row
/// stride. Each element of c is one chain of multiply-adds from zero over the block, added to what c held: the same for every number of rows.
/// </summary>
/// <remarks>
/// Written out, because the JIT keeps locals in registers but not arrays: 12 rows x 2 vectors are 24 of 32 registers, and their 24 independent
/// chains hide the 4 cycles of a multiply-add on two units. AggressiveOptimization: these loops must not wait for tier 1.
/// </remarks>
internal static unsafe class MicroKernels<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>The rows of the next tile when so many are left.</summary>
    public static int TileRows(int remaining)
        => remaining >= TSimd.TileRows ? TSimd.TileRows : remaining >= 6 ? 6 : remaining >= 4 ? 4 : remaining >= 2 ? 2 : 1;

    /// <summary>Runs the tile of <paramref name="rows"/> rows, a value of <see cref="TileRows"/>.</summary>
    public static void Multiply(int rows, float* a, float* b, int depth, float* c, nint stride, bool overwrite)
    {
        switch (rows)
        {
            case 12: Tile12(a, b, depth, c, stride, overwrite); break;
            case 6: Tile6(a, b, depth, c, stride, overwrite); break;
            case 4: Tile4(a, b, depth, c, stride, overwrite); break;
            case 2: Tile2(a, b, depth, c, stride, overwrite); break;
            default: Tile1(a, b, depth, c, overwrite); break;
        }
    }

    /// <summary>One row over a panel of halves, widened in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyHalf(float* a, ushort* b, int depth, float* c, bool overwrite)
    {
        TVec c0a = default, c0b = default;
        for (float* end = a + depth; a < end; a++, b += 2 * TSimd.Count)
        {
            TVec x = TSimd.Broadcast(*a);
            c0a = TSimd.MulAdd(x, TSimd.LoadHalf(b), c0a);
            c0b = TSimd.MulAdd(x, TSimd.LoadHalf(b + TSimd.Count), c0b);
        }
        Add(c, c0a, c0b, overwrite);
    }

    /// <summary>Widens a panel's block, so that several tiles can use it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(ushort* source, float* destination, int length)
    {
        for (int i = 0; i < length; i += TSimd.Count)
            TSimd.Store(TSimd.LoadHalf(source + i), destination + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1(float* a, float* b, int depth, float* c, bool overwrite)
    {
        TVec c0a = default, c0b = default;
        for (float* end = a + depth; a < end; a++, b += 2 * TSimd.Count)
        {
            TVec b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVec x = TSimd.Broadcast(*a);
            c0a = TSimd.MulAdd(x, b0, c0a);
            c0b = TSimd.MulAdd(x, b1, c0b);
        }
        Add(c, c0a, c0b, overwrite);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile2(float* a, float* b, int depth, float* c, nint stride, bool overwrite)
    {
        TVec c0a = default, c0b = default, c1a = default, c1b = default;
        for (float* end = a + depth * 2; a < end; a += 2, b += 2 * TSimd.Count)
        {
            TVec b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVec x = TSimd.Broadcast(a[0]);
            c0a = TSimd.MulAdd(x, b0, c0a);
            c0b = TSimd.MulAdd(x, b1, c0b);
            x = TSimd.Broadcast(a[1]);
            c1a = TSimd.MulAdd(x, b0, c1a);
            c1b = TSimd.MulAdd(x, b1, c1b);
        }
        Add(c, c0a, c0b, overwrite);
        Add(c + stride, c1a, c1b, overwrite);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4(float* a, float* b, int depth, float* c, nint stride, bool overwrite)
    {
        TVec c0a = default, c0b = default, c1a = default, c1b = default, c2a = default, c2b = default, c3a = default, c3b = default;
        for (float* end = a + depth * 4; a < end; a += 4, b += 2 * TSimd.Count)
        {
            TVec b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVec x = TSimd.Broadcast(a[0]);
            c0a = TSimd.MulAdd(x, b0, c0a);
            c0b = TSimd.MulAdd(x, b1, c0b);
            x = TSimd.Broadcast(a[1]);
            c1a = TSimd.MulAdd(x, b0, c1a);
            c1b = TSimd.MulAdd(x, b1, c1b);
            x = TSimd.Broadcast(a[2]);
            c2a = TSimd.MulAdd(x, b0, c2a);
            c2b = TSimd.MulAdd(x, b1, c2b);
            x = TSimd.Broadcast(a[3]);
            c3a = TSimd.MulAdd(x, b0, c3a);
            c3b = TSimd.MulAdd(x, b1, c3b);
        }
        Add(c, c0a, c0b, overwrite);
        Add(c + stride, c1a, c1b, overwrite);
        Add(c + 2 * stride, c2a, c2b, overwrite);
        Add(c + 3 * stride, c3a, c3b, overwrite);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile6(float* a, float* b, int depth, float* c, nint stride, bool overwrite)
    {
        TVec c0a = default, c0b = default, c1a = default, c1b = default, c2a = default, c2b = default, c3a = default, c3b = default, c4a = default, c4b = default, c5a = default, c5b = default;
        for (float* end = a + depth * 6; a < end; a += 6, b += 2 * TSimd.Count)
        {
            TVec b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVec x = TSimd.Broadcast(a[0]);
            c0a = TSimd.MulAdd(x, b0, c0a);
            c0b = TSimd.MulAdd(x, b1, c0b);
            x = TSimd.Broadcast(a[1]);
            c1a = TSimd.MulAdd(x, b0, c1a);
            c1b = TSimd.MulAdd(x, b1, c1b);
            x = TSimd.Broadcast(a[2]);
            c2a = TSimd.MulAdd(x, b0, c2a);
            c2b = TSimd.MulAdd(x, b1, c2b);
            x = TSimd.Broadcast(a[3]);
            c3a = TSimd.MulAdd(x, b0, c3a);
            c3b = TSimd.MulAdd(x, b1, c3b);
            x = TSimd.Broadcast(a[4]);
            c4a = TSimd.MulAdd(x, b0, c4a);
            c4b = TSimd.MulAdd(x, b1, c4b);
            x = TSimd.Broadcast(a[5]);
            c5a = TSimd.MulAdd(x, b0, c5a);
            c5b = TSimd.MulAdd(x, b1, c5b);
        }
        Add(c, c0a, c0b, overwrite);
        Add(c + stride, c1a, c1b, overwrite);
        Add(c + 2 * stride, c2a, c2b, overwrite);
        Add(c + 3 * stride, c3a, c3b, overwrite);
        Add(c + 4 * stride, c4a, c4b, overwrite);
        Add(c + 5 * stride, c5a, c5b, overwrite);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile12(float* a, float* b, int depth, float* c, nint stride, bool overwrite)
    {
        TVec c0a = default, c0b = default, c1a = default, c1b = default, c2a = default, c2b = default, c3a = default, c3b = default, c4a = default, c4b = default, c5a = default, c5b = default,
            c6a = default, c6b = default, c7a = default, c7b = default, c8a = default, c8b = default, c9a = default, c9b = default, c10a = default, c10b = default, c11a = default, c11b = default;
        for (float* end = a + depth * 12; a < end; a += 12, b += 2 * TSimd.Count)
        {
            TVec b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVec x = TSimd.Broadcast(a[0]);
            c0a = TSimd.MulAdd(x, b0, c0a);
            c0b = TSimd.MulAdd(x, b1, c0b);
            x = TSimd.Broadcast(a[1]);
            c1a = TSimd.MulAdd(x, b0, c1a);
            c1b = TSimd.MulAdd(x, b1, c1b);
            x = TSimd.Broadcast(a[2]);
            c2a = TSimd.MulAdd(x, b0, c2a);
            c2b = TSimd.MulAdd(x, b1, c2b);
            x = TSimd.Broadcast(a[3]);
            c3a = TSimd.MulAdd(x, b0, c3a);
            c3b = TSimd.MulAdd(x, b1, c3b);
            x = TSimd.Broadcast(a[4]);
            c4a = TSimd.MulAdd(x, b0, c4a);
            c4b = TSimd.MulAdd(x, b1, c4b);
            x = TSimd.Broadcast(a[5]);
            c5a = TSimd.MulAdd(x, b0, c5a);
            c5b = TSimd.MulAdd(x, b1, c5b);
            x = TSimd.Broadcast(a[6]);
            c6a = TSimd.MulAdd(x, b0, c6a);
            c6b = TSimd.MulAdd(x, b1, c6b);
            x = TSimd.Broadcast(a[7]);
            c7a = TSimd.MulAdd(x, b0, c7a);
            c7b = TSimd.MulAdd(x, b1, c7b);
            x = TSimd.Broadcast(a[8]);
            c8a = TSimd.MulAdd(x, b0, c8a);
            c8b = TSimd.MulAdd(x, b1, c8b);
            x = TSimd.Broadcast(a[9]);
            c9a = TSimd.MulAdd(x, b0, c9a);
            c9b = TSimd.MulAdd(x, b1, c9b);
            x = TSimd.Broadcast(a[10]);
            c10a = TSimd.MulAdd(x, b0, c10a);
            c10b = TSimd.MulAdd(x, b1, c10b);
            x = TSimd.Broadcast(a[11]);
            c11a = TSimd.MulAdd(x, b0, c11a);
            c11b = TSimd.MulAdd(x, b1, c11b);
        }
        Add(c, c0a, c0b, overwrite);
        Add(c + stride, c1a, c1b, overwrite);
        Add(c + 2 * stride, c2a, c2b, overwrite);
        Add(c + 3 * stride, c3a, c3b, overwrite);
        Add(c + 4 * stride, c4a, c4b, overwrite);
        Add(c + 5 * stride, c5a, c5b, overwrite);
        Add(c + 6 * stride, c6a, c6b, overwrite);
        Add(c + 7 * stride, c7a, c7b, overwrite);
        Add(c + 8 * stride, c8a, c8b, overwrite);
        Add(c + 9 * stride, c9a, c9b, overwrite);
        Add(c + 10 * stride, c10a, c10b, overwrite);
        Add(c + 11 * stride, c11a, c11b, overwrite);
    }

    /// <summary>Ends the sums of two neighbouring vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(float* c, TVec a, TVec b, bool overwrite)
    {
        TSimd.Store(overwrite ? a : TSimd.Add(TSimd.Load(c), a), c);
        TSimd.Store(overwrite ? b : TSimd.Add(TSimd.Load(c + TSimd.Count), b), c + TSimd.Count);
    }
}
