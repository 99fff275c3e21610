using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Stores sums whose rows are features as rows of tokens, by the tensor memory accelerator: a warpgroup lays 64 features of 64 tokens (32, if they become
/// floats) into shared memory, transposed, and the copy engine stores them, or adds them to what is there, while the warpgroup goes on. It has two places that take turns.
/// What lies outside of the output's tensor map is not stored.
/// </summary>
internal static class HopperTokenBoxStore<TEpilogue>
    where TEpilogue : struct, IHopperEpilogue
{
    /// <summary>Shared memory of a warpgroup, aligned to 1024 bytes, the period of the swizzle.</summary>
    public const int WarpgroupBytes = 2 * TurnBytes;

    private const int TurnBytes = 8192;
    private const int WarpgroupSize = 128;
    private const int PartTokens = 64; // of the sums that are taken at a time
    private const int FirstBarrier = 2; // of the warpgroups

    /// <summary>Tokens of a box.</summary>
    public static int BoxRows => TEpilogue.IsHalves ? PartTokens : PartTokens / 2;

    /// <summary>Features of a box.</summary>
    public static int BoxColumns => HopperBoxStore<TEpilogue>.BoxColumns;

    /// <summary>Stores a warpgroup's sums, when its products have ended.</summary>
    /// <param name="output">Its bias and size.</param>
    /// <param name="map">The output's tensor map.</param>
    /// <param name="boxes">The warpgroup's <see cref="WarpgroupBytes"/>.</param>
    /// <param name="token">The first token.</param>
    /// <param name="feature">The first of 64 features.</param>
    /// <param name="turn">Counts the boxes, so that places take turns.</param>
    /// <returns>The count after these.</returns>
    public static int Store<TShape>(HopperOutput output, long map, uint boxes, int token, int feature, int turn)
        where TShape : struct, IWgmmaShape
    {
        int lane = Group.IdxX & 31, row = feature + ((Group.IdxX >> 5) & 3) * 16 + (lane >> 2);
        float bias = Bias(output, row), biasBelow = Bias(output, row + 8);
        for (int part = 0; part < TShape.Columns / PartTokens; part++)
        {
            WgmmaColumns64 sums = Wgmma.Take<TShape>(part);
            Four<Float4> low = AddBias(sums.Low, bias, biasBelow), high = AddBias(sums.High, bias, biasBelow);
            int first = token + part * PartTokens;
            if (TEpilogue.IsHalves)
            {
                uint box = WaitForBox(boxes, turn++);
                if (TEpilogue.IsGated)
                    WriteGated(box, low, high);
                else
                    WriteHalves(box, low, high);
                Send(map, TEpilogue.IsGated ? feature / 2 : feature, first, box);
            }
            else
            {
                uint box = WaitForBox(boxes, turn++);
                WriteFloats(box, low);
                Send(map, feature, first, box);
                box = WaitForBox(boxes, turn++);
                WriteFloats(box, high);
                Send(map, feature, first + BoxRows, box);
            }
        }
        return turn;
    }

    /// <summary>Waits until everything is stored and visible to kernels that wait for this one.</summary>
    public static void Finish()
    {
        if (IsSender())
            PtxIntrinsics.WaitSentBoxes();
    }

    private static float Bias(HopperOutput output, int feature) =>
        output.Bias == 0 || feature >= output.NumColumns ? 0f : PtxIntrinsics.LoadGlobal1(output.Bias + (long)feature * sizeof(float));

    private static Four<Float4> AddBias(Four<Float4> sums, float bias, float below) => new()
    {
        A = AddBias(sums.A, bias, below),
        B = AddBias(sums.B, bias, below),
        C = AddBias(sums.C, bias, below),
        D = AddBias(sums.D, bias, below),
    };

    private static Float4 AddBias(Float4 sums, float bias, float below) => new() { X = sums.X + bias, Y = sums.Y + bias, Z = sums.Z + below, W = sums.W + below };

    /// <summary>Of a warpgroup's two places, the one sent last may still be read.</summary>
    private static uint WaitForBox(uint boxes, int turn)
    {
        if (IsSender())
            PtxIntrinsics.WaitReadBoxes1();
        MeetWarpgroup();
        return boxes + (uint)((turn & 1) * TurnBytes);
    }

    private static void Send(long map, int column, int row, uint box)
    {
        PtxIntrinsics.FenceCopies();
        MeetWarpgroup();
        if (!IsSender())
            return;
        if (TEpilogue.IsHalves)
        {
            PtxIntrinsics.SendBox(map, column, row, box);
        }
        else if (TEpilogue.Accumulates)
        {
            PtxIntrinsics.AddBox(map, column, row, box);
            PtxIntrinsics.AddBox(map, column + BoxColumns, row, box + TurnBytes / 2);
        }
        else
        {
            PtxIntrinsics.SendBox(map, column, row, box);
            PtxIntrinsics.SendBox(map, column + BoxColumns, row, box + TurnBytes / 2);
        }
        PtxIntrinsics.CommitBoxes();
    }

    private static void MeetWarpgroup() => PtxIntrinsics.MeetAt(FirstBarrier + Group.IdxX / WarpgroupSize, WarpgroupSize);

    private static bool IsSender() => (Group.IdxX & (WarpgroupSize - 1)) == 0;

    /// <summary>
    /// Rows of 128 bytes whose 16-byte chunks are swizzled by the row modulo 8; the upper two warps have a box of their own. Lane 4g + t has features g and g + 8 of
    /// tokens 2t and 2t + 1 of each eight: its warp's stores meet each bank once.
    /// </summary>
    private static void WriteFloats(uint box, Four<Float4> sums)
    {
        int lane = Group.IdxX & 31, warp = (Group.IdxX >> 5) & 3, token = (lane & 3) * 2, chunk = (warp & 1) * 4 + (lane >> 4);
        uint line = box + (uint)((warp >> 1) * (TurnBytes / 2) + token * 128 + ((lane >> 2) & 3) * 4);
        uint even = line + (uint)((chunk ^ token) << 4), odd = line + 128 + (uint)((chunk ^ token ^ 1) << 4);
        uint evenBelow = line + (uint)((chunk ^ 2 ^ token) << 4), oddBelow = line + 128 + (uint)((chunk ^ 3 ^ token) << 4);
        WriteTokens(even, odd, evenBelow, oddBelow, sums.A);
        WriteTokens(even + 1024, odd + 1024, evenBelow + 1024, oddBelow + 1024, sums.B);
        WriteTokens(even + 2048, odd + 2048, evenBelow + 2048, oddBelow + 2048, sums.C);
        WriteTokens(even + 3072, odd + 3072, evenBelow + 3072, oddBelow + 3072, sums.D);
    }

    private static void WriteTokens(uint even, uint odd, uint evenBelow, uint oddBelow, Float4 sums)
    {
        PtxIntrinsics.StoreShared1(even, sums.X);
        PtxIntrinsics.StoreShared1(odd, sums.Y);
        PtxIntrinsics.StoreShared1(evenBelow, sums.Z);
        PtxIntrinsics.StoreShared1(oddBelow, sums.W);
    }

    /// <summary>Rows of 128 bytes, swizzled like those of floats. A lane gives the address of token lane % 8 of matrix lane / 8: features g and g + 8 of two octets.</summary>
    private static void WriteHalves(uint box, Four<Float4> low, Four<Float4> high)
    {
        int lane = Group.IdxX & 31, warp = (Group.IdxX >> 5) & 3, token = lane & 7;
        uint line = box + (uint)(((lane >> 4) * 8 + token) * 128 + ((warp * 2 + ((lane >> 3) & 1)) ^ token) * 16);
        WriteMatrices(line, HopperStore<TEpilogue>.PackRows(low.A), HopperStore<TEpilogue>.PackRows(low.B));
        WriteMatrices(line + 2048, HopperStore<TEpilogue>.PackRows(low.C), HopperStore<TEpilogue>.PackRows(low.D));
        WriteMatrices(line + 4096, HopperStore<TEpilogue>.PackRows(high.A), HopperStore<TEpilogue>.PackRows(high.B));
        WriteMatrices(line + 6144, HopperStore<TEpilogue>.PackRows(high.C), HopperStore<TEpilogue>.PackRows(high.D));
    }

    /// <summary>Rows of 64 bytes whose chunks are swizzled by half of the row modulo 4: eight features, whose gates are features g and whose ups g + 8, a warp.</summary>
    private static void WriteGated(uint box, Four<Float4> low, Four<Float4> high)
    {
        int lane = Group.IdxX & 31, warp = (Group.IdxX >> 5) & 3;
        uint line = box + (uint)(lane * 64 + ((warp ^ ((lane >> 1) & 3)) << 4));
        WriteMatrices(line, Gate(low.A, low.B), Gate(low.C, low.D));
        WriteMatrices(line + 2048, Gate(high.A, high.B), Gate(high.C, high.D));
    }

    /// <summary>silu(gate) * up of two octets of tokens as halves.</summary>
    private static UInt2 Gate(Float4 first, Float4 second)
    {
        Float4 gate = new() { X = first.X, Y = first.Y, Z = second.X, W = second.Y }, up = new() { X = first.Z, Y = first.W, Z = second.Z, W = second.W };
        return HopperStore<TEpilogue>.PackRows(HopperStore<TEpilogue>.Gate(gate, up));
    }

    private static void WriteMatrices(uint shared, UInt2 left, UInt2 right) =>
        PtxIntrinsics.StoreTransposedMatrices4(shared, new() { X = left.X, Y = left.Y, Z = right.X, W = right.Y });
}
