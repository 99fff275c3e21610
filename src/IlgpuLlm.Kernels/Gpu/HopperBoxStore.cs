using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Stores sums by the tensor memory accelerator: a warp lays a box of 16 rows and 128 bytes (64, if gate and up become halves) into shared memory, and the
/// copy engine stores it, or adds it to what is there, while the warp goes on. Each warp has two boxes that take turns, and meets no other warp. What lies outside
/// of the output's tensor map is not stored.
/// </summary>
internal static class HopperBoxStore<TEpilogue>
    where TEpilogue : struct, IHopperEpilogue
{
    private const int BoxBytes = 2048;

    /// <summary>Shared memory of a warp, aligned to 1024 bytes, the period of the swizzle.</summary>
    public const int WarpBytes = 2 * BoxBytes;

    /// <summary>Rows of a box: those of a warp.</summary>
    public const int BoxRows = 16;

    /// <summary>Columns of a box.</summary>
    public static int BoxColumns => TEpilogue.IsHalves && !TEpilogue.IsGated ? 64 : 32;

    /// <summary>
    /// Stores a warp's 64 columns of sums from <paramref name="column"/> on, its first row being <paramref name="row"/>; see
    /// <see cref="HopperStore{TEpilogue}.StoreWide"/> for where a lane's are.
    /// </summary>
    /// <param name="output">Its bias and size.</param>
    /// <param name="map">The output's tensor map.</param>
    /// <param name="boxes">The warp's <see cref="WarpBytes"/>.</param>
    /// <param name="row">First row.</param>
    /// <param name="column">First column of the sums.</param>
    /// <param name="turn">Counts the calls, so that boxes take turns.</param>
    /// <param name="sums">The sums.</param>
    public static void StoreWide(HopperOutput output, long map, uint boxes, int row, int column, int turn, WgmmaColumns64 sums)
    {
        Four<Float4> low = HopperStore<TEpilogue>.AddBias(output, column, sums.Low);
        Four<Float4> high = HopperStore<TEpilogue>.AddBias(output, column + 32, sums.High);
        uint box = boxes + (uint)((turn & 1) * BoxBytes);
        if (TEpilogue.IsGated)
        {
            WaitForBox();
            WriteGated(box, low, high);
            Send(map, column / 2, row, box);
        }
        else if (TEpilogue.IsHalves)
        {
            WaitForBox();
            WriteHalves(box, low, high);
            Send(map, column, row, box);
        }
        else
        {
            WaitForBox();
            WriteFloats(boxes, low);
            Send(map, column, row, boxes);
            WaitForBox();
            WriteFloats(boxes + BoxBytes, high);
            Send(map, column + 32, row, boxes + BoxBytes);
        }
    }

    /// <summary>Waits until everything is stored and visible to kernels that wait for this one.</summary>
    public static void Finish()
    {
        if (IsSender())
            PtxIntrinsics.WaitSentBoxes();
    }

    /// <summary>Of a warp's two boxes, the one sent last may still be read.</summary>
    private static void WaitForBox()
    {
        if (IsSender())
            PtxIntrinsics.WaitReadBoxes1();
        PtxIntrinsics.MeetWarp();
    }

    private static void Send(long map, int column, int row, uint box)
    {
        PtxIntrinsics.FenceCopies();
        PtxIntrinsics.MeetWarp();
        if (!IsSender())
            return;
        if (TEpilogue.Accumulates)
            PtxIntrinsics.AddBox(map, column, row, box);
        else
            PtxIntrinsics.SendBox(map, column, row, box);
        PtxIntrinsics.CommitBoxes();
    }

    private static bool IsSender() => (Group.IdxX & 31) == 0;

    /// <summary>
    /// Rows of 128 bytes whose 16-byte chunks are swizzled by the row modulo 8. Lane 4g + t has two floats of row g and of row g + 8 in each eight columns.
    /// Lanes of odd rows take columns 16 to 31 first: so sixteen lanes' stores meet each bank once.
    /// </summary>
    private static void WriteFloats(uint box, Four<Float4> sums)
    {
        int lane = Group.IdxX & 31, row = lane >> 2;
        bool isOdd = (row & 1) != 0;
        uint line = box + (uint)(row * 128 + (lane & 1) * 8);
        uint chunk = (uint)((((lane >> 1) & 1) ^ row) << 4 ^ (isOdd ? 64 : 0));
        WritePairs(line + chunk, Select(isOdd, sums.C, sums.A));
        WritePairs(line + (chunk ^ 32), Select(isOdd, sums.D, sums.B));
        WritePairs(line + (chunk ^ 64), Select(isOdd, sums.A, sums.C));
        WritePairs(line + (chunk ^ 96), Select(isOdd, sums.B, sums.D));
    }

    private static void WritePairs(uint shared, Float4 sums)
    {
        PtxIntrinsics.StoreShared2(shared, new() { X = sums.X, Y = sums.Y });
        PtxIntrinsics.StoreShared2(shared + 8 * 128, new() { X = sums.Z, Y = sums.W });
    }

    /// <summary>Rows of 128 bytes, swizzled like those of floats; a lane gives the address of row lane % 16 and of every other chunk.</summary>
    private static void WriteHalves(uint box, Four<Float4> low, Four<Float4> high)
    {
        int lane = Group.IdxX & 31, row = lane & 15;
        uint line = box + (uint)(row * 128), chunk = (uint)(((lane >> 4) ^ (row & 7)) << 4);
        WriteMatrices(line + chunk, HopperStore<TEpilogue>.PackRows(low.A), HopperStore<TEpilogue>.PackRows(low.B));
        WriteMatrices(line + (chunk ^ 32), HopperStore<TEpilogue>.PackRows(low.C), HopperStore<TEpilogue>.PackRows(low.D));
        WriteMatrices(line + (chunk ^ 64), HopperStore<TEpilogue>.PackRows(high.A), HopperStore<TEpilogue>.PackRows(high.B));
        WriteMatrices(line + (chunk ^ 96), HopperStore<TEpilogue>.PackRows(high.C), HopperStore<TEpilogue>.PackRows(high.D));
    }

    /// <summary>Rows of 64 bytes whose chunks are swizzled by half of the row modulo 4.</summary>
    private static void WriteGated(uint box, Four<Float4> low, Four<Float4> high)
    {
        int lane = Group.IdxX & 31, row = lane & 15;
        uint line = box + (uint)(row * 64), chunk = (uint)(((lane >> 4) ^ ((row >> 1) & 3)) << 4);
        WriteMatrices(
            line + chunk,
            HopperStore<TEpilogue>.PackRows(HopperStore<TEpilogue>.Gate(low.A, low.B)),
            HopperStore<TEpilogue>.PackRows(HopperStore<TEpilogue>.Gate(low.C, low.D)));
        WriteMatrices(
            line + (chunk ^ 32),
            HopperStore<TEpilogue>.PackRows(HopperStore<TEpilogue>.Gate(high.A, high.B)),
            HopperStore<TEpilogue>.PackRows(HopperStore<TEpilogue>.Gate(high.C, high.D)));
    }

    private static void WriteMatrices(uint shared, UInt2 left, UInt2 right) =>
        PtxIntrinsics.StoreMatrices4(shared, new() { X = left.X, Y = left.Y, Z = right.X, W = right.Y });

    private static Float4 Select(bool condition, Float4 yes, Float4 no) => new()
    {
        X = condition ? yes.X : no.X,
        Y = condition ? yes.Y : no.Y,
        Z = condition ? yes.Z : no.Z,
        W = condition ? yes.W : no.W,
    };
}
