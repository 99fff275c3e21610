using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// c (+)= a b for the rows of one register tile: packed activations, a [depth, rows], times one panel's block, b [depth, 2 vectors], into c with a row
/// stride. Each element of c is one chain of multiply-adds from zero over the block, added to what c held: the same for every number of rows.
/// </summary>
/// <remarks>
/// 12 rows x 2 vectors are 24 of 32 registers, and their 24 independent chains hide the 4 cycles of a multiply-add on two units.
/// </remarks>
internal static unsafe partial class MicroKernels<TSimd, TVec>
    where TSimd : struct, ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>The rows of the next tile when so many are left.</summary>
    public static int TileRows(int remaining) => Math.Min(remaining, TSimd.TileRows);

    /// <summary>
    /// Runs the tile of <paramref name="rows"/> rows, 1 to 12, and with each input asks for memory that will be read later: from <paramref name="ahead"/> on,
    /// <paramref name="aheadStep"/> bytes an input.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TPanels>(int rows, float* a, byte* b, int depth, float* c, nint stride, bool overwrite, byte* ahead, nint aheadStep)
        where TPanels : struct, IPanelReader<TVec>
    {
        float* end = a + depth * rows;
        if (rows < 4)
            Multiply<TPanels, None>(rows, a, b, end, c, stride, overwrite, ahead, aheadStep);
        else if (rows < 8)
            Multiply<TPanels, Both<Both<One, One>, Both<One, One>>>(rows - 4, a, b, end, c, stride, overwrite, ahead, aheadStep);
        else
            Multiply<TPanels, Both<Both<Both<One, One>, Both<One, One>>, Both<Both<One, One>, Both<One, One>>>>(rows - 8, a, b, end, c, stride, overwrite, ahead, aheadStep);
    }

    /// <summary>Widens halves: a row of the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(ushort* source, float* destination, int length)
    {
        TVec scale = TSimd.Broadcast(HalfBits.Scale);
        // Looking for infinities first is cheaper than minding them in every vector.
        if (HalfBits.AreFinite(source, length))
            for (int i = 0; i < length; i += TSimd.Count)
                TSimd.Store(TSimd.Mul(TSimd.LoadPackedHalf(source + i), scale), destination + i);
        else
            for (int i = 0; i < length; i += TSimd.Count)
                TSimd.Store(TSimd.LoadHalf(source + i), destination + i);
    }

    /// <summary>Widens rows of codes: (code - 128) * the row's scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WidenCodes(byte* source, float* scales, float* destination, int numRows, int width)
    {
        TVec zero = TSimd.Broadcast(KvCodes.Zero);
        for (int row = 0; row < numRows; row++, source += width, destination += width)
        {
            TVec scale = TSimd.Broadcast(scales[row]);
            for (int i = 0; i < width; i += TSimd.Count)
                TSimd.Store(TSimd.Mul(TSimd.Sub(TSimd.LoadBytes(source + i), zero), scale), destination + i);
        }
    }

    /// <summary>Widens a panel's block of <see cref="PackedHalf"/> for <see cref="WidenedHalfPanels{TSimd, TVec}"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WidenPacked(ushort* source, float* destination, int length)
    {
        for (int i = 0; i < length; i += TSimd.Count)
            TSimd.Store(TSimd.LoadPackedHalf(source + i), destination + i);
    }

    /// <summary>Ends the sums of two neighbouring vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(float* c, TVec a, TVec b, bool overwrite)
    {
        TSimd.Store(overwrite ? a : TSimd.Add(TSimd.Load(c), a), c);
        TSimd.Store(overwrite ? b : TSimd.Add(TSimd.Load(c + TSimd.Count), b), c + TSimd.Count);
    }

    /// <summary>The rows of <typeparamref name="TRows"/> and <paramref name="more"/> of them, 0 to 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TPanels, TRows>(int more, float* a, byte* b, float* end, float* c, nint stride, bool overwrite, byte* ahead, nint aheadStep)
        where TPanels : struct, IPanelReader<TVec>
        where TRows : unmanaged, ITile
    {
        switch (more)
        {
            case 0: Run<TPanels, TRows, None>(a, b, end, c, stride, overwrite, ahead, aheadStep); break;
            case 1: Run<TPanels, One, TRows>(a, b, end, c, stride, overwrite, ahead, aheadStep); break;
            case 2: Run<TPanels, Both<One, One>, TRows>(a, b, end, c, stride, overwrite, ahead, aheadStep); break;
            case 3: Run<TPanels, Both<Both<One, One>, One>, TRows>(a, b, end, c, stride, overwrite, ahead, aheadStep); break;
            default: Run<TPanels, Both<Both<One, One>, Both<One, One>>, TRows>(a, b, end, c, stride, overwrite, ahead, aheadStep); break;
        }
    }

    // These loops must not wait for tier 1.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void Run<TPanels, TFirst, TSecond>(float* a, byte* b, float* end, float* c, nint stride, bool overwrite, byte* ahead, nint aheadStep)
        where TPanels : struct, IPanelReader<TVec>
        where TFirst : unmanaged, ITile
        where TSecond : unmanaged, ITile
    {
        TFirst first = default;
        TSecond second = default;
        for (; a < end; a += Rows<TFirst>() + Rows<TSecond>(), b += TPanels.Stride, ahead += aheadStep)
        {
            TPanels.Load(b, out TVec b0, out TVec b1);
            Prefetch.Line(ahead);
            if (TPanels.Stride > Prefetch.LineLength)
                Prefetch.Line(ahead + Prefetch.LineLength);
            first.MulAdd(a, 1, b0, b1);
            second.MulAdd(a + Rows<TFirst>(), 1, b0, b1);
        }
        // Copies, since sums whose address is taken would live in memory.
        TFirst firstSums = first;
        TSecond secondSums = second;
        c = AddRows((TVec*)&firstSums, (TVec*)(&firstSums + 1), c, stride, overwrite, TPanels.SumScale);
        if (typeof(TSecond) != typeof(None))
            AddRows((TVec*)&secondSums, (TVec*)(&secondSums + 1), c, stride, overwrite, TPanels.SumScale);
    }

    /// <summary>c (+)= sums * scale for some rows of two vectors. Returns c behind the last one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float* AddRows(TVec* sums, TVec* end, float* c, nint stride, bool overwrite, float scale)
    {
        TVec scales = TSimd.Broadcast(scale);
        for (; sums < end; sums += 2, c += stride)
            Add(c, TSimd.Mul(sums[0], scales), TSimd.Mul(sums[1], scales), overwrite);
        return c;
    }
}
