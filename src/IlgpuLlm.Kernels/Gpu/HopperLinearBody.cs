using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The size of a product in tiles.</summary>
internal struct HopperGrid
{
    /// <summary>Wide: tiles that are made whole, a multiple of the clusters, lest some of these wait for others in the end.</summary>
    public int NumTiles;

    /// <summary>Wide: the parts of those that remain.</summary>
    public int NumTailTiles;

    /// <summary>Steps of <see cref="Wgmma.TileK"/> elements of k, the last one filled up with zeros.</summary>
    public int NumSteps;

    /// <summary>Tiles of tokens that a cluster takes at a time, wide only.</summary>
    public int NumTokenTiles;

    /// <summary>Tiles of features, wide only.</summary>
    public int NumFeatureTiles;
}

/// <summary>
/// activations [tokens, k] times weights [features, k] transposed, on Hopper's tensor cores: the first warpgroups of a group multiply (consumers), then
/// comes the producer, one lane of which asks the tensor memory accelerator for stages of 64 elements of k of both operands. Two barriers a stage say that
/// it is full (bytes arrive) and empty (consumers' warps arrive). A sum is one chain over k in steps of 16; where a cluster shares the k of a tile, it adds
/// its chains in the order of k. Floats are read as if they were pairs of halves, until they are multiplied.
/// </summary>
internal static class HopperLinearBody<TTile, TEpilogue>
    where TTile : struct, IHopperTile
    where TEpilogue : struct, IHopperEpilogue
{
    private const int RowBytes = Wgmma.TileK * 2;
    private const int SwizzleBytes = 1024; // the period of the swizzle: stages are aligned to it
    private const int BarrierBytes = 8;
    private const int WarpgroupSize = 128;
    private const int ConsumerRows = 64;
    private const int RasterTokens = 2048;
    private const int PartColumns = 64; // that are stored at a time, wide only

    /// <summary>Rows of operand A that a group takes.</summary>
    public static int RowsA => ConsumerRows * TTile.Consumers;

    /// <summary>Lanes of a group. setmaxnreg wants whole warpgroups.</summary>
    public static int GroupSize => NumConsumerLanes + (TTile.IsWide ? WarpgroupSize : 32);

    /// <summary>Dynamic shared memory of a group: stages, boxes to be stored, two barriers for each stage, and what alignment may take.</summary>
    public static int SharedBytes => SwizzleBytes + DataBytes + NumStages * 2 * BarrierBytes;

    /// <summary>Rows of weights in a box of their tensor map.</summary>
    public static int WeightBoxRows => BoxRows<TTile>();

    /// <summary>And of the map for the tail.</summary>
    public static int TailBoxRows => BoxRows<TailShape>();

    /// <summary>Rows of activations in a box of their tensor map.</summary>
    public static int ActivationBoxRows => TTile.IsWide ? RowsA : TTile.Columns;

    private static int NumConsumerLanes => WarpgroupSize * TTile.Consumers;

    private static int BytesA => RowsA * RowBytes;

    private static int StageBytes => BytesA + TTile.Columns * RowBytes;

    /// <summary>Stages and boxes. A narrow tile's sums take the place of its stages.</summary>
    private static int DataBytes => BoxBytes + Math.Max(NumStages * StageBytes, TTile.IsWide ? 0 : HopperNarrowStore<TTile, TEpilogue>.StagedBytes);

    private static int BoxBytes => TTile.IsWide ? NumConsumerLanes / 32 * HopperBoxStore<TEpilogue>.WarpBytes : 0;

    private static int NumStages => (TTile.SharedBytes - SwizzleBytes - BoxBytes) / (StageBytes + 2 * BarrierBytes);

    private static bool PrefetchesOutput => TTile.IsWide && TEpilogue.Accumulates;

    /// <summary>Groups that write into each other's stages.</summary>
    private static int Sharers => TTile.IsWide ? TTile.ClusterSize : 1;

    /// <summary>Groups that share the k of a tile.</summary>
    private static int Split => TTile.IsWide ? 1 : TTile.ClusterSize;

    internal static void Body(long weightMap, long tailMap, long activationMap, long outputMap, HopperOutput output, HopperGrid grid)
    {
        Wgmma.Declare<TTile>();
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint memory = (PtxIntrinsics.SharedAddress(ref shared[0]) + (SwizzleBytes - 1)) & ~(uint)(SwizzleBytes - 1);
        uint full = memory + (uint)DataBytes, empty = full + (uint)(NumStages * BarrierBytes);
        if (Group.IdxX == 0)
        {
            // Groups of the cluster write into each other's stages: a stage is empty when it is so in all of them.
            int numWarps = NumConsumerLanes / 32 * Sharers;
            for (int stage = 0; stage < NumStages; stage++)
            {
                PtxIntrinsics.InitBarrier(full + (uint)(stage * BarrierBytes), 1);
                PtxIntrinsics.InitBarrier(empty + (uint)(stage * BarrierBytes), numWarps);
            }
            PtxIntrinsics.FenceBarriers();
        }
        else if (Group.IdxX == NumConsumerLanes)
        {
            PtxIntrinsics.PrefetchMap(weightMap);
            PtxIntrinsics.PrefetchMap(activationMap);
        }
        if (Sharers > 1)
            PtxIntrinsics.MeetCluster();
        else
            Group.Barrier();

        if (Group.IdxX < NumConsumerLanes)
        {
            if (TTile.IsWide)
                ConsumeWide(memory, full, empty, outputMap, output, grid);
            else
                ConsumeNarrow(memory, full, empty, output, grid);
        }
        else
        {
            if (TTile.IsWide)
                PtxIntrinsics.KeepRegisters40();
            if (Group.IdxX == NumConsumerLanes)
                Produce(memory, full, empty, weightMap, tailMap, activationMap, outputMap, grid);
            if (Split > 1)
                PtxIntrinsics.ClusterBarrier(); // as the consumers do between writing their sums and reading those of others
        }
        if (TTile.ClusterSize > 1)
            PtxIntrinsics.MeetCluster(); // no group leaves while another one reads its memory or writes to it
    }

    private static void Produce(
        uint memory, uint full, uint empty, long weightMap, long tailMap, long activationMap, long outputMap, HopperGrid grid)
    {
        PtxIntrinsics.LaunchDependents();
        int tile = ClusterIndex();
        int firstStep = PtxIntrinsics.Here(FirstStep(grid)), numSteps = PtxIntrinsics.Here(EndStep(grid) - firstStep);
        Place place = PlaceOf(tile, grid);

        // The weights of the first stages are there before the previous kernel has ended.
        int numAhead = tile < NumTiles(grid) ? IntrinsicMath.Min(numSteps, NumStages) : 0;
        for (int i = 0; i < numAhead; i++)
        {
            PtxIntrinsics.ExpectBytes(full + (uint)(i * BarrierBytes), StageBytes);
            LoadWeights<TTile>(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), weightMap, place, firstStep + i);
        }
        PtxIntrinsics.WaitForDependencies();
        for (int i = 0; i < numAhead; i++)
            LoadActivations(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), activationMap, place, firstStep + i);

        var at = new StageCursor { Stage = numAhead == NumStages ? 0 : numAhead, Parity = numAhead == NumStages ? 0 : 1 };
        for (int skip = numAhead; tile < NumTiles(grid); tile += NumClusters())
        {
            Place next = PlaceOf(tile, grid);
            var old = OutputBoxes<TTile>(next, firstStep + skip, firstStep + numSteps);
            at = Fill<TTile>(memory, full, empty, at, weightMap, activationMap, outputMap, next, old, firstStep + skip, firstStep + numSteps);
            skip = 0;
        }
        if (TTile.HasTail)
        {
            for (tile = ClusterIndex(); tile < grid.NumTailTiles; tile += NumClusters())
            {
                Place next = PlaceOfTail(tile, grid);
                var old = OutputBoxes<TailShape>(next, 0, numSteps);
                at = Fill<TailShape>(memory, full, empty, at, tailMap, activationMap, outputMap, next, old, 0, numSteps);
            }
        }
    }

    /// <summary>Asks for stages of a tile as they become empty.</summary>
    private static StageCursor Fill<TShape>(
        uint memory, uint full, uint empty, StageCursor at, long weightMap, long activationMap, long outputMap, Place place, PrefetchCursor old,
        int firstStep, int endStep)
        where TShape : struct, IWgmmaShape
    {
        for (int step = firstStep; step < endStep; step++)
        {
            uint barrier = full + (uint)(at.Stage * BarrierBytes), target = memory + (uint)(at.Stage * StageBytes);
            PtxIntrinsics.WaitBarrier(empty + (uint)(at.Stage * BarrierBytes), at.Parity);
            PtxIntrinsics.ExpectBytes(barrier, BytesA + TShape.Columns * RowBytes);
            LoadWeights<TShape>(target, barrier, weightMap, place, step);
            LoadActivations(target, barrier, activationMap, place, step);
            if (PrefetchesOutput && step >= old.FirstStep)
                old = Prefetch(outputMap, place, old);
            at = Next(at);
        }
        return at;
    }

    private static void ConsumeWide(uint memory, uint full, uint empty, long outputMap, HopperOutput output, HopperGrid grid)
    {
        PtxIntrinsics.TakeRegisters232();
        PtxIntrinsics.WaitForDependencies();
        uint boxes = memory + (uint)(NumStages * StageBytes + (Group.IdxX >> 5) * HopperBoxStore<TEpilogue>.WarpBytes);
        int turn = 0;
        var at = new StageCursor();
        for (int tile = ClusterIndex(); tile < NumTiles(grid); tile += NumClusters())
        {
            Place place = PlaceOf(tile, grid);
            at = Multiply<TTile>(memory, full, empty, at, grid.NumSteps);
            turn = StoreParts<TTile>(outputMap, output, boxes, place, turn);
        }
        if (TTile.HasTail)
        {
            for (int tile = ClusterIndex(); tile < grid.NumTailTiles; tile += NumClusters())
            {
                Place place = PlaceOfTail(tile, grid);
                at = Multiply<TailShape>(memory, full, empty, at, grid.NumSteps);
                turn = StoreParts<TailShape>(outputMap, output, boxes, place, turn);
            }
        }
        HopperBoxStore<TEpilogue>.Finish();
    }

    /// <summary>Stores a tile, 64 columns at a time. Returns the turns of the boxes so far.</summary>
    private static int StoreParts<TShape>(long outputMap, HopperOutput output, uint boxes, Place place, int turn)
        where TShape : struct, IWgmmaShape
    {
        int row = place.Token + (Group.IdxX >> 5) * HopperBoxStore<TEpilogue>.BoxRows;
        for (int part = 0; part < TShape.Columns / PartColumns; part++)
        {
            int column = place.Feature + part * PartColumns;
            HopperBoxStore<TEpilogue>.StoreWide(output, outputMap, boxes, row, column, turn + part, Wgmma.Take<TShape>(part));
        }
        return turn + TShape.Columns / PartColumns;
    }

    private static void ConsumeNarrow(uint memory, uint full, uint empty, HopperOutput output, HopperGrid grid)
    {
        var run = HopperNarrowStore<TTile, TEpilogue>.Begin(output, PlaceOf(ClusterIndex(), grid).Feature);
        Multiply<TTile>(memory, full, empty, new StageCursor(), PtxIntrinsics.Here(EndStep(grid) - FirstStep(grid)));
        HopperNarrowStore<TTile, TEpilogue>.Finish(memory, output, run);
    }

    /// <summary>Multiplies so many stages. One product is always under way; the stage of the one before is given back.</summary>
    private static StageCursor Multiply<TShape>(uint memory, uint full, uint empty, StageCursor at, int numSteps)
        where TShape : struct, IWgmmaShape
    {
        uint a = memory + (uint)(Group.IdxX / WarpgroupSize * ConsumerRows * RowBytes);
        Wgmma.Zero<TShape>();
        uint previous = empty;
        for (int step = 0; step < numSteps; step++)
        {
            PtxIntrinsics.WaitBarrier(full + (uint)(at.Stage * BarrierBytes), at.Parity);
            uint stage = (uint)(at.Stage * StageBytes);
            Wgmma.MultiplyAdd<TShape>(a + stage, memory + stage + (uint)BytesA);
            Wgmma.WaitPrevious();
            if (step > 0)
                Release(previous);
            previous = empty + (uint)(at.Stage * BarrierBytes);
            at = Next(at);
        }
        Wgmma.WaitAll();
        Release(previous);
        return at;
    }

    /// <summary>A warp has done with a stage, here and, where they write to it, for all groups of the cluster.</summary>
    private static void Release(uint barrier)
    {
        int lane = Group.IdxX & 31;
        if (Sharers > 1)
        {
            if (lane < Sharers)
                PtxIntrinsics.ArriveBarrier(barrier, lane);
        }
        else if (lane == 0)
        {
            PtxIntrinsics.ArriveBarrier(barrier);
        }
    }

    private static StageCursor Next(StageCursor at) =>
        at.Stage + 1 == NumStages ? new() { Stage = 0, Parity = at.Parity ^ 1 } : new() { Stage = at.Stage + 1, Parity = at.Parity };

    private static int BoxRows<TShape>()
        where TShape : struct, IWgmmaShape => TTile.IsWide ? TShape.Columns / TTile.ClusterSize : RowsA;

    private static void LoadWeights<TShape>(uint stage, uint barrier, long map, Place place, int step)
        where TShape : struct, IWgmmaShape
    {
        if (!TTile.IsWide)
        {
            PtxIntrinsics.CopyBox(stage, map, step * Wgmma.TileK, place.Feature, barrier);
        }
        else if (TTile.ClusterSize == 1)
        {
            PtxIntrinsics.CopyBox(stage + (uint)BytesA, map, step * Wgmma.TileK, place.Feature, barrier);
        }
        else
        {
            int row = Rank() * BoxRows<TShape>();
            uint target = stage + (uint)(BytesA + row * RowBytes);
            PtxIntrinsics.CopyBoxToCluster(target, map, step * Wgmma.TileK, place.Feature + row, barrier, (1 << TTile.ClusterSize) - 1);
        }
    }

    private static void LoadActivations(uint stage, uint barrier, long map, Place place, int step) =>
        PtxIntrinsics.CopyBox(TTile.IsWide ? stage : stage + (uint)BytesA, map, step * Wgmma.TileK, place.Token, barrier);

    private static int Rank() => TTile.ClusterSize == 1 ? 0 : PtxIntrinsics.ClusterRank();

    private static int ClusterIndex() => TTile.ClusterSize == 1 ? Grid.IdxX : PtxIntrinsics.ClusterIndex();

    private static int NumClusters() => TTile.ClusterSize == 1 ? Grid.DimX : PtxIntrinsics.NumClusters();

    private static int FirstStep(HopperGrid grid) => Split == 1 ? 0 : grid.NumSteps * Rank() / Split;

    private static int EndStep(HopperGrid grid) => Split == 1 ? grid.NumSteps : grid.NumSteps * (Rank() + 1) / Split;

    private static int NumTiles(HopperGrid grid) => TTile.IsWide ? grid.NumTiles : NumClusters();

    /// <summary>
    /// Where a tile is. Wide tiles follow each other so that those that are made at a time share rows of both operands in the L2 cache: down a stretch of
    /// tokens, then on to the next features.
    /// </summary>
    private static Place PlaceOf(int tile, HopperGrid grid)
    {
        if (!TTile.IsWide)
            return new() { Feature = PtxIntrinsics.Here(tile * RowsA) };
        int stretch = RasterTokens / (RowsA * TTile.ClusterSize);
        int first = tile / (stretch * grid.NumFeatureTiles) * stretch;
        int height = IntrinsicMath.Min(grid.NumTokenTiles - first, stretch);
        int within = tile - first * grid.NumFeatureTiles;
        return new()
        {
            Token = PtxIntrinsics.Here(((first + within % height) * TTile.ClusterSize + Rank()) * RowsA),
            Feature = PtxIntrinsics.Here(within / height * TTile.Columns),
        };
    }

    /// <summary>Where a part of one of the last tiles is.</summary>
    private static Place PlaceOfTail(int tile, HopperGrid grid)
    {
        int parts = TTile.Columns / TTile.TailColumns;
        Place place = PlaceOf(grid.NumTiles + tile / parts, grid);
        place.Feature = PtxIntrinsics.Here(place.Feature + tile % parts * TTile.TailColumns);
        return place;
    }

    /// <summary>Boxes of the output that are brought to the second-level cache, as late as is possible: down their rows, then on to the next columns.</summary>
    private static PrefetchCursor OutputBoxes<TShape>(Place place, int firstStep, int endStep)
        where TShape : struct, IWgmmaShape
    {
        if (!PrefetchesOutput)
            return default;
        int numBoxes = TShape.Columns / HopperBoxStore<TEpilogue>.BoxColumns * (RowsA / HopperBoxStore<TEpilogue>.BoxRows);
        int numSteps = IntrinsicMath.Max(endStep - firstStep, 1), perStep = numSteps >= numBoxes ? 1 : (numBoxes + numSteps - 1) / numSteps;
        int first = IntrinsicMath.Max(firstStep, endStep - numBoxes);
        return new() { FirstStep = first, PerStep = perStep, EndColumn = place.Feature + TShape.Columns, Row = 0, Column = place.Feature };
    }

    private static PrefetchCursor Prefetch(long outputMap, Place place, PrefetchCursor at)
    {
        for (int i = 0; i < at.PerStep && at.Column < at.EndColumn; i++)
        {
            PtxIntrinsics.PrefetchBox(outputMap, at.Column, place.Token + at.Row);
            at.Row += HopperBoxStore<TEpilogue>.BoxRows;
            if (at.Row == RowsA)
            {
                at.Row = 0;
                at.Column += HopperBoxStore<TEpilogue>.BoxColumns;
            }
        }
        return at;
    }

    /// <summary>A part of a tile.</summary>
    private readonly struct TailShape : IWgmmaShape
    {
        public static int Columns => TTile.TailColumns;

        public static bool IsTf32 => TTile.IsTf32;
    }

    /// <summary>The first token and the first feature of a tile.</summary>
    private struct Place
    {
        public int Token, Feature;
    }

    /// <summary>The boxes of the output that are prefetched from a step on.</summary>
    private struct PrefetchCursor
    {
        public int FirstStep, PerStep, EndColumn, Row, Column;
    }

    /// <summary>The stage that comes next and the parity of its barrier.</summary>
    private struct StageCursor
    {
        public int Stage, Parity;
    }
}
