using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The size of a product of codes in tiles.</summary>
internal struct QuantizedGrid
{
    /// <summary>The map of the output, wide only.</summary>
    public long OutputMap;

    /// <summary>Tiles of all clusters, wide only.</summary>
    public int NumTiles;

    /// <summary>Tiles of tokens, wide only.</summary>
    public int NumTokenTiles;

    /// <summary>Tiles of features that clusters take, wide only.</summary>
    public int NumFeatureTiles;
}

/// <summary>
/// Products of rows of halves with a quantized weight on Hopper's tensor cores: as <see cref="HopperLinearBody{TTile, TEpilogue}"/>, but weights come as
/// codes, a panel of 64 features a consumer, and become operand A in registers: each is widened once for all tokens of a tile, wide or narrow. A stage is two
/// blocks of 64 inputs, or one if tokens are many. A sum is one chain over k, or, in narrow tiles, as many as groups share it, which are added in order. Groups of
/// a wide tile's cluster have the same tokens and other features.
/// </summary>
internal static class HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>
    where TTile : struct, IHopperTile
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where TEpilogue : struct, IHopperEpilogue
{
    private const int ManyTokens = 256;
    private const int RasterTokens = 2048;
    private const int PanelGroupBytes = QuantizedLayout.PanelRows * sizeof(uint);
    private const int RowBytes = QuantizedLayout.BlockInputs * 2;
    private const int AlignmentBytes = 1024; // of activations, whose swizzle has that period
    private const int BarrierBytes = 8;
    private const int WarpgroupSize = 128;

    /// <summary>Lanes of a group.</summary>
    public static int GroupSize => NumConsumerLanes + (TTile.IsWide ? WarpgroupSize : 32); // setmaxnreg wants whole warpgroups

    /// <summary>Features of a group.</summary>
    public static int Features => TTile.Consumers * QuantizedLayout.PanelRows;

    /// <summary>Dynamic shared memory of a group: stages, boxes to be stored, two barriers for each stage, and what alignment may take.</summary>
    public static int SharedBytes => AlignmentBytes + DataBytes + NumStages * 2 * BarrierBytes;

    /// <summary>Rows of activations in a box of their tensor map.</summary>
    public static int ActivationBoxRows => TTile.Columns / Sharers;

    private static int StageBlocks => TTile.Columns == ManyTokens ? 1 : 2;

    private static int StageInputs => StageBlocks * QuantizedLayout.BlockInputs;

    private static int MaxStageGroups => 2 * StageBlocks; // groups of 32 inputs

    private static int NumConsumerLanes => WarpgroupSize * TTile.Consumers;

    /// <summary>Groups that write activations into each other's stages.</summary>
    private static int Sharers => TTile.IsWide ? TTile.ClusterSize : 1;

    /// <summary>Groups that share the k of a tile.</summary>
    private static int Split => TTile.IsWide ? 1 : TTile.ClusterSize;

    private static int BlockBytes => QuantizedLayout.BlockInputs * QuantizedLayout.PanelRows * TCodes.Bits / 8;

    private static int InputBytes => TTile.Columns * RowBytes; // of a block

    private static int CodesOffset => StageBlocks * InputBytes;

    private static int GroupsOffset => CodesOffset + TTile.Consumers * StageBlocks * BlockBytes;

    private static int StageBytes => GroupsOffset + TTile.Consumers * MaxStageGroups * PanelGroupBytes;

    private static int BoxBytes => TTile.IsWide ? TTile.Consumers * HopperTokenBoxStore<TEpilogue>.WarpgroupBytes : 0;

    private static int NumStages => (TTile.SharedBytes - AlignmentBytes - BoxBytes) / (StageBytes + 2 * BarrierBytes);

    /// <summary>Where boxes begin: as aligned as the stages.</summary>
    private static int BoxOffset => (NumStages * StageBytes + AlignmentBytes - 1) / AlignmentBytes * AlignmentBytes;

    /// <summary>Stages and boxes. A narrow tile's sums take the place of its stages.</summary>
    private static int DataBytes =>
        TTile.IsWide ? BoxOffset + BoxBytes : Math.Max(NumStages * StageBytes, HopperNarrowStore<TTile, TEpilogue>.StagedBytes);

    internal static void Body(long codes, long groups, long activationMap, HopperOutput output, QuantizedStream sizes, QuantizedGrid grid)
    {
        Wgmma.Declare<TTile>();
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint memory = (PtxIntrinsics.SharedAddress(ref shared[0]) + (AlignmentBytes - 1)) & ~(uint)(AlignmentBytes - 1);
        uint full = memory + (uint)DataBytes, empty = full + (uint)(NumStages * BarrierBytes);
        if (Group.IdxX == 0)
        {
            for (int stage = 0; stage < NumStages; stage++)
            {
                PtxIntrinsics.InitBarrier(full + (uint)(stage * BarrierBytes), 1);
                PtxIntrinsics.InitBarrier(empty + (uint)(stage * BarrierBytes), NumConsumerLanes / 32 * Sharers);
            }
            PtxIntrinsics.FenceBarriers();
        }
        else if (Group.IdxX == NumConsumerLanes)
        {
            PtxIntrinsics.PrefetchMap(activationMap);
        }
        if (Sharers > 1)
            PtxIntrinsics.MeetCluster();
        else
            Group.Barrier();
        if (Group.IdxX < NumConsumerLanes)
        {
            if (TTile.IsWide)
                ConsumeWide(memory, full, empty, output, sizes, grid);
            else
                ConsumeNarrow(memory, full, empty, output, sizes);
        }
        else
        {
            if (TTile.IsWide)
                PtxIntrinsics.KeepRegisters40();
            if (Group.IdxX == NumConsumerLanes)
                Produce(memory, full, empty, codes, groups, activationMap, sizes, grid);
            if (Split > 1)
                PtxIntrinsics.ClusterBarrier(); // as the consumers do between writing their sums and reading those of others
        }
        if (TTile.ClusterSize > 1)
            PtxIntrinsics.MeetCluster(); // no group leaves while another one reads its memory or writes to it
    }

    private static void ConsumeNarrow(uint memory, uint full, uint empty, HopperOutput output, QuantizedStream sizes)
    {
        var run = HopperNarrowStore<TTile, TEpilogue>.Begin(output, PtxIntrinsics.Here(ClusterIndex() * Features));
        Multiply(memory, full, empty, new StageCursor(), sizes, PtxIntrinsics.Here(FirstStep(sizes)), PtxIntrinsics.Here(EndStep(sizes)));
        HopperNarrowStore<TTile, TEpilogue>.Finish(memory, output, run);
    }

    private static void ConsumeWide(uint memory, uint full, uint empty, HopperOutput output, QuantizedStream sizes, QuantizedGrid grid)
    {
        PtxIntrinsics.TakeRegisters232();
        PtxIntrinsics.WaitForDependencies();
        int warpgroup = PtxIntrinsics.Here(Group.IdxX / WarpgroupSize), turn = 0;
        uint boxes = memory + (uint)(BoxOffset + warpgroup * HopperTokenBoxStore<TEpilogue>.WarpgroupBytes);
        var at = new StageCursor();
        for (int tile = ClusterIndex(); tile < grid.NumTiles; tile += NumClusters())
        {
            Place place = PlaceOf(tile, grid);
            at = Multiply(memory, full, empty, at, sizes, 0, EndStep(sizes));
            turn = HopperTokenBoxStore<TEpilogue>.Store<TTile>(
                output, grid.OutputMap, boxes, place.Token, (place.Panel + warpgroup) * QuantizedLayout.PanelRows, turn);
        }
        HopperTokenBoxStore<TEpilogue>.Finish();
    }

    private static void Produce(
        uint memory, uint full, uint empty, long codes, long groups, long activationMap, QuantizedStream sizes, QuantizedGrid grid)
    {
        PtxIntrinsics.LaunchDependents();
        int tile = ClusterIndex(), firstStep = PtxIntrinsics.Here(FirstStep(sizes)), endStep = PtxIntrinsics.Here(EndStep(sizes));
        Place place = PlaceOf(tile, grid);
        // The weights of the first stages are there before the previous kernel has ended.
        int numAhead = tile < NumTiles(grid) ? IntrinsicMath.Min(endStep - firstStep, NumStages) : 0;
        for (int i = 0; i < numAhead; i++)
            LoadWeights(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), codes, groups, sizes, place.Panel, firstStep + i);
        PtxIntrinsics.WaitForDependencies();
        for (int i = 0; i < numAhead; i++)
            LoadInputs(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), activationMap, sizes, place.Token, firstStep + i);
        var at = new StageCursor { Stage = numAhead == NumStages ? 0 : numAhead, Parity = numAhead == NumStages ? 0 : 1 };
        for (int skip = numAhead; tile < NumTiles(grid); tile += NumClusters())
        {
            place = PlaceOf(tile, grid);
            for (int step = firstStep + skip; step < endStep; step++)
            {
                uint barrier = full + (uint)(at.Stage * BarrierBytes), target = memory + (uint)(at.Stage * StageBytes);
                PtxIntrinsics.WaitBarrier(empty + (uint)(at.Stage * BarrierBytes), at.Parity);
                LoadWeights(target, barrier, codes, groups, sizes, place.Panel, step);
                LoadInputs(target, barrier, activationMap, sizes, place.Token, step);
                at = Next(at);
            }
            skip = 0;
        }
    }

    /// <summary>Asks for a stage's codes and groups of the panels that exist, and tells the barrier what comes in all.</summary>
    private static void LoadWeights(uint stage, uint barrier, long codes, long groups, QuantizedStream sizes, int panel, int step)
    {
        int blocks = BlocksOf(step, sizes), panels = IntrinsicMath.Max(IntrinsicMath.Min(TTile.Consumers, sizes.NumPanels - panel), 0);
        int firstGroup = (step * StageInputs) >> sizes.GroupShift;
        int numGroups = ((step * StageInputs + blocks * QuantizedLayout.BlockInputs - 1) >> sizes.GroupShift) - firstGroup + 1;
        PtxIntrinsics.ExpectBytes(barrier, blocks * InputBytes + panels * (blocks * BlockBytes + numGroups * PanelGroupBytes));
        for (int i = 0; i < panels; i++)
        {
            long block = (long)(panel + i) * sizes.NumBlocks + step * StageBlocks, group = (long)(panel + i) * sizes.NumGroups + firstGroup;
            PtxIntrinsics.CopyBytes(stage + (uint)(CodesOffset + i * (StageBlocks * BlockBytes)), codes + block * BlockBytes, blocks * BlockBytes, barrier);
            PtxIntrinsics.CopyBytes(
                stage + (uint)(GroupsOffset + i * (MaxStageGroups * PanelGroupBytes)), groups + group * PanelGroupBytes, numGroups * PanelGroupBytes, barrier);
        }
    }

    private static void LoadInputs(uint stage, uint barrier, long activationMap, QuantizedStream sizes, int token, int step)
    {
        for (int block = 0; block < BlocksOf(step, sizes); block++)
        {
            int input = (step * StageBlocks + block) * QuantizedLayout.BlockInputs;
            if (Sharers > 1)
            {
                int row = PtxIntrinsics.ClusterRank() * ActivationBoxRows;
                PtxIntrinsics.CopyBoxToCluster(
                    stage + (uint)(block * InputBytes + row * RowBytes), activationMap, input, token + row, barrier, (1 << TTile.ClusterSize) - 1);
            }
            else
            {
                PtxIntrinsics.CopyBox(stage + (uint)(block * InputBytes), activationMap, input, token, barrier);
            }
        }
    }

    private static int BlocksOf(int step, QuantizedStream sizes) => IntrinsicMath.Min(StageBlocks, sizes.NumBlocks - step * StageBlocks);

    /// <summary>Multiplies stages as they come: while one warpgroup waits for its products, others widen codes.</summary>
    private static StageCursor Multiply(uint memory, uint full, uint empty, StageCursor at, QuantizedStream sizes, int firstStep, int endStep)
    {
        int lane = Group.IdxX & 31, consumer = Group.IdxX / WarpgroupSize, strip = (Group.IdxX >> 5) & (QuantizedLayout.Strips - 1);
        uint codes = memory + (uint)(CodesOffset + consumer * (StageBlocks * BlockBytes) + strip * (BlockBytes / QuantizedLayout.Strips) + lane * 16);
        uint groups = memory + (uint)(GroupsOffset + consumer * (MaxStageGroups * PanelGroupBytes) + (strip * QuantizedLayout.StripRows + (lane >> 2) * 2) * sizeof(uint));
        Wgmma.Zero<TTile>();
        for (int step = firstStep; step < endStep; step++)
        {
            PtxIntrinsics.WaitBarrier(full + (uint)(at.Stage * BarrierBytes), at.Parity);
            uint stage = (uint)(at.Stage * StageBytes);
            var first = Widen(codes + stage, groups + stage, step, 0, sizes);
            if (StageBlocks == 2 && step * StageBlocks + 1 < sizes.NumBlocks)
                Wgmma.MultiplyAddRows<TTile>(first, Widen(codes + stage + (uint)BlockBytes, groups + stage, step, 1, sizes), memory + stage);
            else
                Wgmma.MultiplyAddRows<TTile>(first, memory + stage);
            Wgmma.WaitAll();
            PtxIntrinsics.MeetWarp(); // all lanes have read their codes
            Release(empty + (uint)(at.Stage * BarrierBytes));
            at = Next(at);
        }
        return at;
    }

    /// <summary>A block of a stage as operands.</summary>
    private static Four<UInt4> Widen(uint codes, uint groups, int step, int block, QuantizedStream sizes)
    {
        int input = step * StageInputs + block * QuantizedLayout.BlockInputs, firstGroup = (step * StageInputs) >> sizes.GroupShift;
        int lowerGroup = (input >> sizes.GroupShift) - firstGroup, upperGroup = ((input + QuantizedLayout.BlockInputs / 2) >> sizes.GroupShift) - firstGroup;
        TRaw raw = TCodes.Take(codes);
        Two<UInt4> lower = TCodes.WidenLower(raw, QuantizedRowPair.Of(PtxIntrinsics.LoadShared8(groups + (uint)(lowerGroup * PanelGroupBytes))));
        Two<UInt4> upper = TCodes.WidenUpper(raw, QuantizedRowPair.Of(PtxIntrinsics.LoadShared8(groups + (uint)(upperGroup * PanelGroupBytes))));
        return new() { A = lower.A, B = lower.B, C = upper.A, D = upper.B };
    }

    /// <summary>A warp has done with a stage, here and, where they write to it, for all groups of the cluster.</summary>
    private static void Release(uint barrier)
    {
        int lane = Group.IdxX & 31, own = Sharers > 1 ? PtxIntrinsics.ClusterRank() : 0;
        if (lane == own)
            PtxIntrinsics.ArriveBarrier(barrier);
        else if (lane < Sharers)
            PtxIntrinsics.ArriveBarrier(barrier, lane);
    }

    private static StageCursor Next(StageCursor at) =>
        at.Stage + 1 == NumStages ? new() { Stage = 0, Parity = at.Parity ^ 1 } : new() { Stage = at.Stage + 1, Parity = at.Parity };

    private static int ClusterIndex() => TTile.ClusterSize == 1 ? Grid.IdxX : PtxIntrinsics.ClusterIndex();

    private static int NumClusters() => TTile.ClusterSize == 1 ? Grid.DimX : PtxIntrinsics.NumClusters();

    private static int NumTiles(QuantizedGrid grid) => TTile.IsWide ? grid.NumTiles : NumClusters();

    private static int NumSteps(QuantizedStream sizes) => (sizes.NumBlocks + StageBlocks - 1) / StageBlocks;

    private static int FirstStep(QuantizedStream sizes) => Split == 1 ? 0 : NumSteps(sizes) * PtxIntrinsics.ClusterRank() / Split;

    private static int EndStep(QuantizedStream sizes) => Split == 1 ? NumSteps(sizes) : NumSteps(sizes) * (PtxIntrinsics.ClusterRank() + 1) / Split;

    /// <summary>Where a tile is: wide ones go down a stretch of tokens, then on to the next features, so that those made at a time share both in the L2 cache.</summary>
    private static Place PlaceOf(int tile, QuantizedGrid grid)
    {
        if (!TTile.IsWide)
            return new() { Panel = PtxIntrinsics.Here(tile * TTile.Consumers) };
        int stretch = RasterTokens / TTile.Columns, first = tile / (stretch * grid.NumFeatureTiles) * stretch;
        int height = IntrinsicMath.Min(grid.NumTokenTiles - first, stretch), within = tile - first * grid.NumFeatureTiles;
        int rank = TTile.ClusterSize == 1 ? 0 : PtxIntrinsics.ClusterRank();
        return new()
        {
            Token = PtxIntrinsics.Here((first + within % height) * TTile.Columns),
            Panel = PtxIntrinsics.Here((within / height * TTile.ClusterSize + rank) * TTile.Consumers),
        };
    }

    /// <summary>The first token and the first panel of a group's tile.</summary>
    private struct Place
    {
        public int Token, Panel;
    }

    /// <summary>The stage that comes next and the parity of its barrier.</summary>
    private struct StageCursor
    {
        public int Stage, Parity;
    }
}
