using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// How narrow tiles end: the consumers' sums take the place of the stages, [tokens, features]; where a cluster shares the k of a tile, each group adds up and
/// stores a share of the tokens. All consumers come here.
/// </summary>
internal static class HopperNarrowStore<TTile, TEpilogue>
    where TTile : struct, IHopperTile
    where TEpilogue : struct, IHopperEpilogue
{
    private const int WarpgroupSize = 128;
    private const int ConsumerRows = 64;

    /// <summary>Shared memory for the sums.</summary>
    public static int StagedBytes => TTile.Columns * Pitch * sizeof(float);

    private static int Features => ConsumerRows * TTile.Consumers;

    private static int NumLanes => WarpgroupSize * TTile.Consumers;

    /// <summary>Groups that share the k of a tile.</summary>
    private static int Split => TTile.ClusterSize;

    /// <summary>Floats between two tokens: a warp's stores of a column meet each bank once.</summary>
    private static int Pitch => Features + 4;

    /// <summary>Where this lane stores, and what it adds to, which arrives while the product is made. Waits for the previous kernel.</summary>
    public static NarrowRun Begin(HopperOutput output, int feature)
    {
        int runLength = HopperStore<TEpilogue>.RunLength, numRuns = Features / runLength;
        int run = (Group.IdxX & (numRuns - 1)) * runLength;
        int token = PtxIntrinsics.Here(Rank() * (NumLanes / numRuns) + Group.IdxX / numRuns);
        PtxIntrinsics.WaitForDependencies();
        return new() { Feature = feature, First = run, Token = token, Old = HopperStore<TEpilogue>.LoadOld(output, token, feature + run) };
    }

    /// <summary>Stores the sums, when all products have ended.</summary>
    public static void Finish(uint memory, HopperOutput output, NarrowRun run)
    {
        PtxIntrinsics.PartialBarrier(NumLanes); // the stages are done with
        int lane = Group.IdxX & 31;
        int first = (lane & 3) * 2 * Pitch + (Group.IdxX >> 5) * 16 + (lane >> 2);
        Wgmma.StoreTransposed<TTile>(memory + (uint)(first * sizeof(float)), (uint)(Pitch * sizeof(float)));
        if (Split > 1)
            PtxIntrinsics.ClusterBarrier();
        else
            PtxIntrinsics.PartialBarrier(NumLanes);

        int tokens = NumLanes / (Features / HopperStore<TEpilogue>.RunLength), token = run.Token;
        Float8 old = run.Old;
        while (token < output.NumRows)
        {
            uint sums = memory + (uint)((token * Pitch + run.First) * sizeof(float));
            HopperStore<TEpilogue>.StoreRun(
                output, token, run.Feature + run.First, Eight(sums), TEpilogue.IsGated ? Eight(sums + 8 * sizeof(float)) : default, old);
            token += Split * tokens;
            old = HopperStore<TEpilogue>.LoadOld(output, token, run.Feature + run.First);
        }
    }

    private static int Rank() => TTile.ClusterSize == 1 ? 0 : PtxIntrinsics.ClusterRank();

    /// <summary>Eight staged sums, those of the groups that share a tile's k added in the order of k.</summary>
    private static Float8 Eight(uint address)
    {
        if (Split == 1)
            return new() { Low = PtxIntrinsics.LoadShared4(address), High = PtxIntrinsics.LoadShared4(address + 4 * sizeof(float)) };
        Float4 low = PtxIntrinsics.LoadShared4(address, 0), high = PtxIntrinsics.LoadShared4(address + 4 * sizeof(float), 0);
        // Unrolled, all loads are under way together; those of gate and up would take more registers than there are.
        int end = TEpilogue.IsGated ? PtxIntrinsics.ClusterSize() : Split;
        for (int rank = 1; rank < end; rank++)
        {
            Float4 nextLow = PtxIntrinsics.LoadShared4(address, rank), nextHigh = PtxIntrinsics.LoadShared4(address + 4 * sizeof(float), rank);
            low = new() { X = low.X + nextLow.X, Y = low.Y + nextLow.Y, Z = low.Z + nextLow.Z, W = low.W + nextLow.W };
            high = new() { X = high.X + nextHigh.X, Y = high.Y + nextHigh.Y, Z = high.Z + nextHigh.Z, W = high.W + nextHigh.W };
        }
        return new() { Low = low, High = high };
    }
}

/// <summary>Eight features, or sixteen, of a token, which a lane stores.</summary>
internal struct NarrowRun
{
    /// <summary>The tile's first feature.</summary>
    public int Feature;

    /// <summary>The run's first one, counted from it.</summary>
    public int First;
    public int Token;
    public Float8 Old;
}
