using System.Runtime.InteropServices;
using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>The warps of a group.</summary>
internal interface IFlashShape
{
    /// <summary>Warps, each with 32 queries.</summary>
    static abstract int Warps { get; }
}

/// <summary>128 queries a group.</summary>
internal readonly struct FlashWarps4 : IFlashShape
{
    public static int Warps => 4;
}

/// <summary>64 queries a group, for devices with 100 KB of shared memory.</summary>
internal readonly struct FlashWarps2 : IFlashShape
{
    public static int Warps => 2;
}

/// <summary>What the kernel reads and writes.</summary>
internal struct FlashArguments
{
    public long Qkv; // address of halves, [numTokens, qkvWidth]
    public long Keys; // address of halves, [numBlocks, numKvHeads, blockSize, headDim]
    public long Values; // the same
    public ArrayView<uint> Output; // pairs of halves, [numTokens, numHeads * headDim / 2]
    public ArrayView<int> QueryStartLoc; // [numSeqs + 1]
    public ArrayView<int> Positions; // [numTokens]
    public ArrayView<int> BlockTables; // [numSeqs, maxBlocksPerSeq]
    public int NumSeqs;
    public float Scale; // the shape's times log2(e)
    public int BlockShift; // blockSize = 1 << BlockShift
}

/// <summary>What a lane needs once a tile.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
internal struct FlashLane
{
    public uint Query, Key, Value; // shared memory, for ldmatrix
    public int Distance; // from position 2 (lane % 4) to this lane's first query
}

/// <summary>Where a warp's kinds of tiles end: before these positions.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
internal struct FlashBounds
{
    public int Skipped, Whole, Seen, All;
}

/// <summary>
/// Causal attention on tensor cores, after FlashAttention-2: a group makes one head of 128 neighbouring queries of a sequence, a warp 32 of them. It walks
/// the visible keys in tiles of 64; while one is multiplied, the next comes by cp.async, and the places of the one after that are looked up in the block
/// table. Tiles begin at multiples of 64 positions, and a tile in which a query sees nothing changes no bit of its row: results depend neither on
/// chunking nor on neighbours. Rows in shared memory are an odd number of 16-byte chunks apart, so that ldmatrix meets no bank twice.
/// </summary>
internal static class FlashAttentionBody<TShape, THead, TScores>
    where TShape : struct, IFlashShape
    where TScores : unmanaged, IFlashScores<TScores>
    where THead : unmanaged, IFlashHead<THead>
{
    private const int TileKeys = 64;
    private const int WarpQueries = 32;
    private const uint NoRow = uint.MaxValue;
    private const int FirstToken = 0, NumRows = 1, FirstVisible = 2, Last = 3, Table = 4, KvHead = 5; // in the group's common memory

    /// <summary>Queries of a group.</summary>
    public static int TileQueries => WarpQueries * TShape.Warps;

    /// <summary>Lanes of a group.</summary>
    public static int GroupSize => 32 * TShape.Warps;

    /// <summary>Shared memory of a group: the queries and two stages of keys and values.</summary>
    public static int SharedBytes => (TileQueries + 4 * TileKeys) * (int)Pitch;

    private static int BoundsAt => GroupSize;

    private static int MaximaAt => 2 * GroupSize;

    private static int SumsAt => 3 * GroupSize;

    private static uint Pitch => (uint)THead.Dims * 2 + 16;

    private static uint StageBytes => 2 * TileKeys * Pitch;

    private static int ChunksPerRow => THead.Dims / 8;

    private static int LanesPerRow => 1 << RowShift;

    private static int RowShift => ChunksPerRow <= 8 ? 3 : 4;

    private static int RowsPerPass => GroupSize / LanesPerRow;

    internal static void Body(FlashArguments arguments, HeadLayout layout)
    {
        PtxIntrinsics.LaunchDependents();
        // One allocation, so that one register has the address of all of it.
        var memory = SharedMemory.Allocate<UInt4>(4 * GroupSize + 2 * TileKeys / 4 + 2);
        var lanes = memory.Cast<FlashLane>();
        var bounds = memory.Cast<FlashBounds>(); // from BoundsAt on
        var rows = memory.Cast<Float4>(); // from MaximaAt and from SumsAt on
        // Where the rows of this tile and the next lie, in chunks of 16 bytes. And what is the same for all lanes, so that it takes no registers.
        var offsets = memory.SubView(4 * GroupSize, 2 * TileKeys / 4).Cast<uint>();
        var common = memory.SubView(4 * GroupSize + 2 * TileKeys / 4, 2).Cast<int>();
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint queries = PtxIntrinsics.SharedAddress(ref shared[0]);

        var tile = FlashSlots.Tile(arguments.QueryStartLoc, arguments.NumSeqs, Grid.IdxY, TileQueries);
        int numRows = tile.NumRows;
        if (numRows == 0)
            return;
        int first = arguments.Positions[tile.Token]; // of the tile's queries
        if (first < 0)
        {
            PtxIntrinsics.WaitForDependencies();
            Store(default, arguments, layout, tile.Token, numRows); // rows that only fill up a graph's batch
            return;
        }
        int last = first + numRows - 1;
        int firstVisible = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, first - layout.SlidingWindow + 1) : 0;
        int firstKey = firstVisible / TileKeys * TileKeys;
        if (Group.IdxX == 0)
        {
            common[FirstToken] = tile.Token;
            common[NumRows] = numRows;
            common[FirstVisible] = firstVisible;
            common[Last] = last;
            common[Table] = tile.Sequence * layout.MaxBlocksPerSeq;
            common[KvHead] = Grid.IdxX / (layout.NumHeads / layout.NumKvHeads);
        }
        Group.Barrier();
        if (Group.IdxX < TileKeys)
        {
            offsets[Half(firstKey) + Group.IdxX] = FindRow(arguments, layout, common, firstKey + Group.IdxX);
            offsets[OtherHalf(firstKey) + Group.IdxX] = FindRow(arguments, layout, common, firstKey + TileKeys + Group.IdxX);
        }
        Group.Barrier();
        PtxIntrinsics.WaitForDependencies();
        int rowHeads = layout.NumHeads + 2 * layout.NumKvHeads;
        long firstQuery = ((long)(tile.Token) * rowHeads + Grid.IdxX) * THead.Dims;
        LoadQueries(queries, arguments.Qkv + firstQuery * 2, (long)rowHeads * THead.Dims * 2, numRows);
        uint stages = queries + (uint)TileQueries * Pitch;
        LoadTile(stages + Stage(firstKey), arguments, offsets.SubView(Half(firstKey), TileKeys));

        // Tiles that the warp sees nothing of, whole ones, tiles on the diagonal (with a window: all that it sees), and again some that it sees nothing
        // of: a loop each, as a branch within one would have the compiler move all of the sums around. The group's warps meet once a tile, wherever they
        // are. What a loop needs once a tile is read from shared memory: the sums and scores leave few registers.
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int warpFirst = first + warp * WarpQueries; // position of the warp's first query
        int warpLast = IntrinsicMath.Min(warpFirst + WarpQueries - 1, last);
        bool hasWindow = layout.SlidingWindow > 0;
        lanes[Group.IdxX] = new()
        {
            // ldmatrix: this lane's rows of queries and values (16 rows, two chunks), and of keys (as columns of the product).
            Query = queries + (uint)(warp * WarpQueries + (lane & 15)) * Pitch + (uint)(lane >> 4) * 16,
            Key = stages + (uint)((lane & 7) + ((lane >> 4) << 3)) * Pitch + (uint)((lane >> 3) & 1) * 16,
            Value = stages + (uint)(TileKeys + (lane & 15)) * Pitch + (uint)(lane >> 4) * 16,
            Distance = warpFirst + (lane >> 2) - (lane & 3) * 2,
        };
        bounds[BoundsAt + Group.IdxX] = new()
        {
            Skipped = warpFirst > last ? last + 1 : hasWindow ? warpFirst - layout.SlidingWindow + 2 - TileKeys : 0,
            Whole = hasWindow ? 0 : IntrinsicMath.Min(warpFirst, last) + 2 - TileKeys,
            Seen = warpFirst > last ? 0 : warpLast + 1,
            All = last + 1,
        };
        rows[MaximaAt + Group.IdxX] = FlashSoftmax.Same(float.NegativeInfinity);
        rows[SumsAt + Group.IdxX] = default;
        THead output = default;
        for (; firstKey < bounds[BoundsAt + Group.IdxX].Skipped; firstKey += TileKeys)
            Advance(stages, arguments, layout, offsets, common, firstKey);
        for (; firstKey < bounds[BoundsAt + Group.IdxX].Whole; firstKey += TileKeys)
        {
            Advance(stages, arguments, layout, offsets, common, firstKey);
            output = Add(output, rows, lanes, firstKey, arguments, layout, isMasked: false);
        }
        for (; firstKey < bounds[BoundsAt + Group.IdxX].Seen; firstKey += TileKeys)
        {
            Advance(stages, arguments, layout, offsets, common, firstKey);
            output = Add(output, rows, lanes, firstKey, arguments, layout, isMasked: true);
        }
        for (; firstKey < bounds[BoundsAt + Group.IdxX].All; firstKey += TileKeys)
            Advance(stages, arguments, layout, offsets, common, firstKey);
        Store(FlashState<THead>.Result(output, rows[SumsAt + Group.IdxX]), arguments, layout, common[FirstToken], common[NumRows]);
    }

    /// <summary>Adds a tile, whole or in two halves.</summary>
    private static THead Add(
        THead output, ArrayView<Float4> rows, ArrayView<FlashLane> lanes, int firstKey, FlashArguments arguments, HeadLayout layout, bool isMasked)
    {
        uint stage = Stage(firstKey);
        int window = layout.SlidingWindow > 0 ? layout.SlidingWindow : int.MaxValue;
        output = FlashState<THead>.Add<TScores>(output, rows, MaximaAt, SumsAt, lanes, stage, Pitch, arguments.Scale, firstKey, window, isMasked);
        return TScores.Keys == TileKeys
            ? output
            : FlashState<THead>.Add<TScores>(
                output, rows, MaximaAt, SumsAt, lanes, stage + (uint)TScores.Keys * Pitch, Pitch, arguments.Scale, firstKey + TScores.Keys, window, isMasked);
    }

    /// <summary>Waits for the tile at <paramref name="firstKey"/> and starts the copies of the next one.</summary>
    private static void Advance(
        uint stages, FlashArguments arguments, HeadLayout layout, ArrayView<uint> offsets, ArrayView<int> common, int firstKey)
    {
        PtxIntrinsics.WaitAllCopies();
        Group.Barrier(); // the tile is there for all, and all have done with the one before
        if (firstKey + TileKeys > common[Last])
            return;
        LoadTile(stages + Stage(firstKey + TileKeys), arguments, offsets.SubView(OtherHalf(firstKey), TileKeys));
        // Of the tile after the next. Nobody reads this half before the barrier.
        if (Group.IdxX < TileKeys)
            offsets[Half(firstKey) + Group.IdxX] = FindRow(arguments, layout, common, firstKey + 2 * TileKeys + Group.IdxX);
    }

    /// <summary>Where the places of a tile's rows lie.</summary>
    private static int Half(int firstKey) => firstKey & TileKeys;

    private static int OtherHalf(int firstKey) => ~firstKey & TileKeys;

    /// <summary>Where a tile's rows lie.</summary>
    private static uint Stage(int firstKey) => (firstKey & TileKeys) != 0 ? StageBytes : 0;

    private static void Store(THead output, FlashArguments arguments, HeadLayout layout, int firstToken, int numRows)
    {
        int lane = Group.IdxX & 31;
        int row = (Group.IdxX >> 5) * WarpQueries + (lane >> 2);
        FlashRows rows = new()
        {
            Output = arguments.Output,
            First = (((long)firstToken + row) * layout.NumHeads + Grid.IdxX) * (THead.Dims / 2),
            Stride = 8 * layout.NumHeads * (THead.Dims / 2),
            Count = numRows - row,
        };
        THead.Store(output, rows, (lane & 3) * 2);
    }

    /// <summary>Starts the copies of the queries; rows outside become zeros.</summary>
    private static void LoadQueries(uint target, long source, long stride, int numRows)
    {
        int chunk = Group.IdxX & (LanesPerRow - 1);
        if (ChunksPerRow != LanesPerRow && chunk >= ChunksPerRow)
            return;
        for (int row = Group.IdxX >> RowShift; row < TileQueries; row += RowsPerPass)
        {
            bool isInside = row < numRows;
            PtxIntrinsics.CopyAsync16OrZero(target + (uint)row * Pitch + (uint)chunk * 16, source + (isInside ? row : 0) * stride + chunk * 16, isInside ? 16 : 0);
        }
    }

    /// <summary>Starts the copies of a tile's keys and values.</summary>
    private static void LoadTile(uint stage, FlashArguments arguments, ArrayView<uint> offsets)
    {
        int chunk = Group.IdxX & (LanesPerRow - 1);
        if (ChunksPerRow != LanesPerRow && chunk >= ChunksPerRow)
            return;
        int row = Group.IdxX >> RowShift;
        uint target = stage + (uint)row * Pitch + (uint)chunk * 16;
        for (int pass = 0; pass < TileKeys / RowsPerPass; pass += 4)
        {
            // Four rows at a time, so that their places are read at once.
            uint a = offsets[row], b = offsets[row + RowsPerPass], c = offsets[row + 2 * RowsPerPass], d = offsets[row + 3 * RowsPerPass];
            LoadRow(target, arguments, a, chunk);
            LoadRow(target + (uint)RowsPerPass * Pitch, arguments, b, chunk);
            LoadRow(target + 2 * (uint)RowsPerPass * Pitch, arguments, c, chunk);
            LoadRow(target + 3 * (uint)RowsPerPass * Pitch, arguments, d, chunk);
            row += 4 * RowsPerPass;
            target += 4 * (uint)RowsPerPass * Pitch;
        }
    }

    private static void LoadRow(uint target, FlashArguments arguments, uint offset, int chunk)
    {
        int bytes = offset == NoRow ? 0 : 16;
        long at = (long)(offset + (uint)chunk) * 16;
        PtxIntrinsics.CopyAsync16OrZero(target, arguments.Keys + at, bytes);
        PtxIntrinsics.CopyAsync16OrZero(target + TileKeys * Pitch, arguments.Values + at, bytes);
    }

    /// <summary>A position's row in the cache, counted in chunks of 16 bytes: 32 bits reach 64 GB.</summary>
    private static uint FindRow(FlashArguments arguments, HeadLayout layout, ArrayView<int> common, int position)
    {
        if (position < common[FirstVisible] || position > common[Last])
            return NoRow;
        int block = arguments.BlockTables[common[Table] + (position >> arguments.BlockShift)];
        return layout.CacheChunk(block, position & (layout.BlockSize - 1), common[KvHead]);
    }
}
