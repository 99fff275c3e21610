using System.Runtime.CompilerServices;
using ILGPU;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// What the instructions of tensor-core kernels do, for ILGPU's CPU accelerator with warps of 32 lanes and one group at a time: slow, but it is the
/// kernels' own code that runs. Written after the tables of fragments in the PTX manual.
/// </summary>
internal static unsafe class PtxEmulation
{
    private const int WarpSize = 32;
    private const int MaxLanes = 1024;

    private static readonly UInt4[] Rows = new UInt4[MaxLanes];
    private static readonly UInt2[] Columns = new UInt2[MaxLanes];
    private static readonly uint[] Addresses = new uint[MaxLanes];

    private static long _sharedWindow; // the upper half of shared addresses

    private static int Lane => Group.IdxX % WarpSize;

    private static int WarpStart => Group.IdxX - Lane;

    public static uint SharedAddress<T>(ref T element)
        where T : unmanaged
    {
        long address = (long)Unsafe.AsPointer(ref element);
        _sharedWindow = address & ~(long)uint.MaxValue;
        return (uint)address;
    }

    public static void Copy16(uint shared, long global, int bytes)
    {
        *(UInt4*)(_sharedWindow + shared) = bytes == 16 ? *(UInt4*)global : default;
    }

    public static Float4 LoadShared4(uint shared) => *(Float4*)(_sharedWindow + shared);

    public static Float2 LoadShared2(uint shared) => *(Float2*)(_sharedWindow + shared);

    public static void StoreShared<T>(uint shared, T value)
        where T : unmanaged => *(T*)(_sharedWindow + shared) = value;

    public static UInt4 Load16(long global, int isValid) => isValid != 0 ? *(UInt4*)global : default;

    public static UInt2 Load8(long global) => *(UInt2*)global;

    /// <summary>What an instruction on pairs of halves does: doubles hold products and sums of halves exactly, so that each is rounded once.</summary>
    public static uint OnHalves(uint a, uint b, uint c, Func<double, double, double, double> operation)
    {
        static double Widen(uint word, int shift) => (double)BitConverter.UInt16BitsToHalf((ushort)(word >> shift));
        ushort Result(int shift) => BitConverter.HalfToUInt16Bits((System.Half)operation(Widen(a, shift), Widen(b, shift), Widen(c, shift)));
        return Chunks.Pack(Result(0), Result(16));
    }

    public static float LoadFloat(long global) => *(float*)global;

    public static Float2 LoadFloat2(long global) => *(Float2*)global;

    public static Float4 LoadFloat4(long global) => *(Float4*)global;

    public static UInt4 LoadMatrices4(uint shared, bool isTransposed)
    {
        Addresses[Group.IdxX] = shared;
        Warp.Barrier();
        uint Word(int matrix)
        {
            int first = WarpStart + matrix * 8, row = Lane / 4, pair = Lane % 4;
            ushort Half(int r, int c) => *(ushort*)(_sharedWindow + Addresses[first + r] + c * 2);
            return isTransposed ? Chunks.Pack(Half(2 * pair, row), Half(2 * pair + 1, row)) : Chunks.Pack(Half(row, 2 * pair), Half(row, 2 * pair + 1));
        }
        UInt4 result = new() { X = Word(0), Y = Word(1), Z = Word(2), W = Word(3) };
        Warp.Barrier();
        return result;
    }

    public static Float4 MultiplyAdd16x8x16(UInt4 a, UInt2 b, Float4 c)
    {
        Rows[Group.IdxX] = a;
        Columns[Group.IdxX] = b;
        Warp.Barrier();
        int row = Lane / 4, column = Lane % 4 * 2;
        Float4 result = new() { X = Sum(c.X, row, column), Y = Sum(c.Y, row, column + 1), Z = Sum(c.Z, row + 8, column), W = Sum(c.W, row + 8, column + 1) };
        Warp.Barrier();
        return result;
    }

    public static Float4 MultiplyAdd16x8x8(UInt4 a, UInt2 b, Float4 c)
    {
        Rows[Group.IdxX] = a;
        Columns[Group.IdxX] = b;
        Warp.Barrier();
        int row = Lane / 4, column = Lane % 4 * 2;
        Float4 result = new()
        {
            X = SumTf32(c.X, row, column),
            Y = SumTf32(c.Y, row, column + 1),
            Z = SumTf32(c.Z, row + 8, column),
            W = SumTf32(c.W, row + 8, column + 1),
        };
        Warp.Barrier();
        return result;
    }

    private static float SumTf32(float sum, int row, int column)
    {
        for (int k = 0; k < 8; k++)
        {
            UInt4 a = Rows[WarpStart + row % 8 * 4 + k % 4];
            UInt2 b = Columns[WarpStart + column * 4 + k % 4];
            uint rowWord = (row < 8, k < 4) switch { (true, true) => a.X, (false, true) => a.Y, (true, false) => a.Z, _ => a.W };
            sum += BitConverter.UInt32BitsToSingle(rowWord) * BitConverter.UInt32BitsToSingle(k < 4 ? b.X : b.Y);
        }
        return sum;
    }

    private static float Sum(float sum, int row, int column)
    {
        for (int k = 0; k < 16; k++)
        {
            UInt4 a = Rows[WarpStart + row % 8 * 4 + k % 8 / 2];
            UInt2 b = Columns[WarpStart + column * 4 + k % 8 / 2];
            uint rowWord = (row < 8, k < 8) switch { (true, true) => a.X, (false, true) => a.Y, (true, false) => a.Z, _ => a.W };
            uint columnWord = k < 8 ? b.X : b.Y;
            int shift = k % 2 * 16;
            sum += (float)BitConverter.UInt16BitsToHalf((ushort)(rowWord >> shift)) * (float)BitConverter.UInt16BitsToHalf((ushort)(columnWord >> shift));
        }
        return sum;
    }
}
