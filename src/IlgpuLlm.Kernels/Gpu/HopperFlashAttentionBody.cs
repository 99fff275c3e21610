using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the kernel reads and writes.</summary>
internal struct HopperFlashArguments
{
    public long QueryMap; // of halves, [tokens, qkvWidth], boxes of 128 rows
    public long KeyMap; // of halves, [numBlocks * numKvHeads * blockSize, headDim], boxes of a block's rows
    public long ValueMap; // the same
    public long Output; // address of halves, [numTokens, numHeads * headDim]
    public ArrayView<int> QueryStartLoc; // [numSeqs + 1]
    public ArrayView<int> Positions; // [numTokens]
    public ArrayView<int> BlockTables; // [numSeqs, maxBlocksPerSeq]
    public int NumSeqs;
    public float Scale; // the shape's times log2(e)
    public int BlockShift; // blockSize = 1 << BlockShift
}

/// <summary>
/// Causal attention on Hopper's tensor cores, after FlashAttention-3: a group makes one head of 128 neighbouring queries of a sequence, each of two
/// warpgroups (consumers) 64 of them, at their own pace (in turns they were slower); a warp of a third one (producer) asks the tensor memory accelerator for tiles of 128 keys and values, a box for each
/// block of the cache and 64 elements. While a tile's softmax is made, the values of the tile before it are multiplied. Tiles begin at multiples of 128
/// positions, and a tile in which a query sees nothing changes no bit of its row: results depend neither on chunking nor on neighbours.
/// </summary>
internal static class HopperFlashAttentionBody<THead>
    where THead : struct, IConstant
{
    private const int SwizzleBytes = 1024; // the period of the swizzle
    private const int BarrierBytes = 8;
    private const int WarpgroupSize = 128;
    private const int WarpgroupQueries = 64;
    private const int NumConsumerLanes = 2 * WarpgroupSize;
    private const int NumStages = 2;
    private const int TileKeys = WgmmaAttention.TileKeys, TileQueries = WgmmaAttention.TileQueries;
    private const int NowhereRow = -TileKeys; // a box outside a matrix becomes zeros
    private const int WarpgroupBarriers = 2; // the hardware's barriers from here on are the warpgroups' own, beyond those of Group.Barrier and PartialBarrier

    /// <summary>Lanes of a group. setmaxnreg wants whole warpgroups.</summary>
    public static int GroupSize => NumConsumerLanes + WarpgroupSize;

    /// <summary>Dynamic shared memory of a group: queries, stages of keys and of values, barriers, and what alignment may take.</summary>
    public static int SharedBytes => SwizzleBytes + (1 + 2 * NumStages) * TileBytes + (1 + 4 * NumStages) * BarrierBytes;

    private static int NumHalves => THead.Value / WgmmaAttention.HalfElements;

    private static int TileBytes => NumHalves * WgmmaAttention.HalfBytes;

    internal static void Body(HopperFlashArguments arguments, HeadLayout layout)
    {
        WgmmaAttention.Declare<THead>();
        PtxIntrinsics.LaunchDependents();
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint memory = (PtxIntrinsics.SharedAddress(ref shared[0]) + (SwizzleBytes - 1)) & ~(uint)(SwizzleBytes - 1);
        uint barriers = memory + (uint)((1 + 2 * NumStages) * TileBytes);

        int sequence = FlashSlots.Find(arguments.QueryStartLoc, arguments.NumSeqs, Grid.IdxY, TileQueries);
        int start = arguments.QueryStartLoc[sequence];
        int count = arguments.QueryStartLoc[sequence + 1] - start;
        int numTiles = (count + TileQueries - 1) / TileQueries;
        int index = Grid.IdxY - FlashSlots.First(start, sequence, TileQueries);
        if (index >= numTiles)
            return;
        int firstRow = (numTiles - 1 - index) * TileQueries; // the longest rows first: short ones fill the end of the grid
        var tile = new Tile
        {
            Token = start + firstRow,
            NumRows = IntrinsicMath.Min(TileQueries, count - firstRow),
            First = arguments.Positions[start + firstRow],
            Table = sequence * layout.MaxBlocksPerSeq,
        };
        if (tile.First < 0)
        {
            PtxIntrinsics.WaitForDependencies();
            StoreZeros(arguments, layout, tile); // rows that only fill up a graph's batch
            return;
        }
        tile.Last = tile.First + tile.NumRows - 1;
        tile.FirstVisible = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, tile.First - layout.SlidingWindow + 1) : 0;
        tile.FirstKey = tile.FirstVisible / TileKeys * TileKeys;
        if (Group.IdxX == 0)
        {
            PtxIntrinsics.InitBarrier(barriers, 1);
            for (int stage = 0; stage < NumStages; stage++)
            {
                PtxIntrinsics.InitBarrier(Full(barriers, stage, 0), 1);
                PtxIntrinsics.InitBarrier(Full(barriers, stage, 1), 1);
                PtxIntrinsics.InitBarrier(Empty(barriers, stage, 0), NumConsumerLanes / 32);
                PtxIntrinsics.InitBarrier(Empty(barriers, stage, 1), NumConsumerLanes / 32);
            }
            PtxIntrinsics.FenceBarriers();
        }
        Group.Barrier();
        if (Group.IdxX < NumConsumerLanes)
        {
            Consume(memory, barriers, arguments, layout, tile);
        }
        else
        {
            PtxIntrinsics.KeepRegisters40();
            if (Group.IdxX < NumConsumerLanes + 32)
                Produce(memory, barriers, arguments, layout, tile);
        }
    }

    private static void Produce(uint memory, uint barriers, HopperFlashArguments arguments, HeadLayout layout, Tile tile)
    {
        PtxIntrinsics.WaitForDependencies();
        int lane = Group.IdxX & 31;
        if (lane == 0)
        {
            PtxIntrinsics.ExpectBytes(barriers, TileBytes);
            for (int half = 0; half < NumHalves; half++)
            {
                int column = Grid.IdxX * THead.Value + half * WgmmaAttention.HalfElements;
                PtxIntrinsics.CopyBox(memory + (uint)(half * WgmmaAttention.HalfBytes), arguments.QueryMap, column, tile.Token, barriers);
            }
        }
        // A lane has one box of each tile: of a block, or as much of it as a tile has, and 64 elements.
        int boxShift = IntrinsicMath.Min(arguments.BlockShift, 7), boxes = TileKeys >> boxShift, box = lane & (boxes - 1), half64 = lane >> (7 - boxShift);
        int kvHead = Grid.IdxX / (layout.NumHeads / layout.NumKvHeads);
        int position = tile.FirstKey + (box << boxShift);
        int column64 = half64 * WgmmaAttention.HalfElements;
        uint offset = (uint)(half64 * WgmmaAttention.HalfBytes + (box << boxShift) * WgmmaAttention.RowBytes);
        int row = FindRow(arguments, layout, tile, position, boxShift, kvHead);
        var at = new Cursor();
        for (int key = tile.FirstKey; key <= tile.Last; key += TileKeys)
        {
            Load(memory, barriers, at, 0, arguments.KeyMap, column64, row, offset, half64 < NumHalves);
            Load(memory, barriers, at, 1, arguments.ValueMap, column64, row, offset, half64 < NumHalves);
            position += TileKeys;
            row = FindRow(arguments, layout, tile, position, boxShift, kvHead);
            at = Next(at);
        }
    }

    /// <summary>Asks for a tile of keys (0) or values (1) when the consumers have done with the one before it in this stage.</summary>
    private static void Load(uint memory, uint barriers, Cursor at, int matrix, long map, int column, int row, uint offset, bool hasBox)
    {
        uint full = Full(barriers, at.Stage, matrix);
        PtxIntrinsics.WaitBarrier(Empty(barriers, at.Stage, matrix), at.Parity ^ 1);
        if ((Group.IdxX & 31) == 0)
            PtxIntrinsics.ExpectBytes(full, TileBytes);
        PtxIntrinsics.SyncWarp();
        if (hasBox)
            PtxIntrinsics.CopyBox(Stage(memory, at.Stage, matrix) + offset, map, column, row, full);
    }

    /// <summary>The row of the cache's matrix in which a box begins. Blocks of which nothing is visible are not read: they may be anybody's.</summary>
    private static int FindRow(HopperFlashArguments arguments, HeadLayout layout, Tile tile, int position, int boxShift, int kvHead)
    {
        if (position > tile.Last || position + (1 << boxShift) <= tile.FirstVisible)
            return NowhereRow;
        int block = arguments.BlockTables[tile.Table + (position >> arguments.BlockShift)];
        return ((block * layout.NumKvHeads + kvHead) << arguments.BlockShift) + (position & (layout.BlockSize - 1));
    }

    private static void Consume(uint memory, uint barriers, HopperFlashArguments arguments, HeadLayout layout, Tile tile)
    {
        PtxIntrinsics.TakeRegisters232();
        PtxIntrinsics.WaitForDependencies();
        int warpgroup = Group.IdxX / WarpgroupSize, lane = Group.IdxX & 31;
        int warpgroupFirst = tile.First + warpgroup * WarpgroupQueries;
        uint queries = memory + (uint)(warpgroup * WarpgroupQueries * WgmmaAttention.RowBytes);
        int window = layout.SlidingWindow > 0 ? layout.SlidingWindow : int.MaxValue;
        int row = warpgroup * WarpgroupQueries + ((Group.IdxX >> 5) & 3) * 16 + (lane >> 2); // the lane's first
        int distance = PtxIntrinsics.Here(tile.First + row - 2 * (lane & 3));
        // Keys from wholeFirst to below wholeEnd are visible to all queries of the warpgroup.
        int wholeFirst = PtxIntrinsics.Here(layout.SlidingWindow > 0 ? warpgroupFirst + WarpgroupQueries - layout.SlidingWindow : 0);
        int wholeEnd = PtxIntrinsics.Here(warpgroupFirst + 1);

        WgmmaAttention.Clear<THead>();
        PtxIntrinsics.WaitBarrier(barriers, 0);
        var at = new Cursor();
        int key = tile.FirstKey;
        PtxIntrinsics.WaitBarrier(Full(barriers, at.Stage, 0), at.Parity);
        WgmmaAttention.MultiplyKeys<THead>(queries, Stage(memory, at.Stage, 0));
        Wgmma.WaitAll();
        Release(Empty(barriers, at.Stage, 0));
        if (key < wholeFirst || key + TileKeys > wholeEnd)
            WgmmaAttention.Mask(distance - key, window);
        WgmmaAttention.Softmax(arguments.Scale);
        WgmmaAttention.Advance<THead>();
        key += TileKeys;
        for (; key <= tile.Last; key += TileKeys)
        {
            Cursor next = Next(at);
            PtxIntrinsics.WaitBarrier(Full(barriers, next.Stage, 0), next.Parity);
            WgmmaAttention.MultiplyKeys<THead>(queries, Stage(memory, next.Stage, 0));
            PtxIntrinsics.WaitBarrier(Full(barriers, at.Stage, 1), at.Parity);
            WgmmaAttention.MultiplyValues<THead>(Stage(memory, at.Stage, 1));
            Wgmma.WaitPrevious();
            Release(Empty(barriers, next.Stage, 0));
            if (key < wholeFirst || key + TileKeys > wholeEnd)
                WgmmaAttention.Mask(distance - key, window);
            WgmmaAttention.Softmax(arguments.Scale);
            Wgmma.WaitAll();
            Release(Empty(barriers, at.Stage, 1));
            WgmmaAttention.Advance<THead>();
            at = next;
        }
        PtxIntrinsics.WaitBarrier(Full(barriers, at.Stage, 1), at.Parity);
        ZeroUnwritten(Stage(memory, at.Stage, 1), layout, tile);
        WgmmaAttention.MultiplyValues<THead>(Stage(memory, at.Stage, 1));
        Wgmma.WaitAll();
        WgmmaAttention.Finish<THead>();

        int width = layout.NumHeads * THead.Value;
        var output = new HopperOutput
        {
            Values = arguments.Output + ((long)tile.Token * width + Grid.IdxX * THead.Value) * 2,
            NumRows = tile.NumRows,
            NumColumns = width,
        };
        HopperStore<HalvesEpilogue>.StoreWide(output, row, 0, WgmmaAttention.TakeLow());
        if (NumHalves == 2)
            HopperStore<HalvesEpilogue>.StoreWide(output, row, WgmmaAttention.HalfElements, WgmmaAttention.TakeHigh());
    }

    /// <summary>
    /// Of the last tile: what lies behind the last value in its block nobody may have written yet, and a weight of 0 times that may be no number. Both
    /// warpgroups write the same zeros, so neither waits for the other.
    /// </summary>
    private static void ZeroUnwritten(uint values, HeadLayout layout, Tile tile)
    {
        int box = IntrinsicMath.Min(layout.BlockSize, TileKeys);
        int first = (tile.Last + 1) & (TileKeys - 1), end = (first + box - 1) & ~(box - 1);
        if (first == end)
            return;
        const int ChunksInRow = WgmmaAttention.RowBytes / 16;
        for (int i = first * ChunksInRow + (Group.IdxX & (WarpgroupSize - 1)); i < end * ChunksInRow; i += WarpgroupSize)
        {
            for (int half = 0; half < NumHalves; half++)
                PtxIntrinsics.ZeroShared16(values + (uint)(half * WgmmaAttention.HalfBytes + i * 16));
        }
        PtxIntrinsics.FenceShared();
        PtxIntrinsics.MeetAt(WarpgroupBarriers + Group.IdxX / WarpgroupSize, WarpgroupSize);
    }

    /// <summary>A warp has done with a stage.</summary>
    private static void Release(uint barrier)
    {
        if ((Group.IdxX & 31) == 0)
            PtxIntrinsics.ArriveBarrier(barrier);
    }

    private static void StoreZeros(HopperFlashArguments arguments, HeadLayout layout, Tile tile)
    {
        const int ChunkElements = 8;
        int chunks = THead.Value / ChunkElements;
        for (int i = Group.IdxX; i < tile.NumRows * chunks; i += Group.DimX)
        {
            long at = ((long)(tile.Token + i / chunks) * layout.NumHeads + Grid.IdxX) * THead.Value + i % chunks * ChunkElements;
            PtxIntrinsics.StoreGlobal4(arguments.Output + at * 2, default(UInt4));
        }
    }

    private static Cursor Next(Cursor at) =>
        at.Stage + 1 == NumStages ? new() { Stage = 0, Parity = at.Parity ^ 1 } : new() { Stage = at.Stage + 1, Parity = at.Parity };

    private static uint Full(uint barriers, int stage, int matrix) => barriers + (uint)((1 + 2 * stage + matrix) * BarrierBytes);

    private static uint Empty(uint barriers, int stage, int matrix) => barriers + (uint)((1 + 2 * (NumStages + stage) + matrix) * BarrierBytes);

    private static uint Stage(uint memory, int stage, int matrix) => memory + (uint)((1 + 2 * stage + matrix) * TileBytes);

    /// <summary>The queries of a group and what they see.</summary>
    private struct Tile
    {
        public int Token, NumRows; // rows of the batch
        public int First, Last; // positions of the queries
        public int FirstVisible; // the first position that any of them sees
        public int FirstKey; // where the first tile of keys begins
        public int Table; // the sequence's place in the block tables
    }

    /// <summary>A stage and the parity of its barriers.</summary>
    private struct Cursor
    {
        public int Stage, Parity;
    }
}
