using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What the kernel reads and writes.</summary>
internal struct FloatFlashArguments
{
    public long Qkv; // address of floats, [numTokens, qkvWidth]
    public long Keys; // address of the cache's type, [numBlocks, numKvHeads, blockSize, headDim]
    public long Values; // the same
    public long KeyScales; // address of floats, [numBlocks, numKvHeads, blockSize]; of codes only
    public long ValueScales; // the same
    public ArrayView<float> Output; // [numTokens, numHeads * headDim]
    public ArrayView<int> QueryStartLoc; // [numSeqs + 1]
    public ArrayView<int> Positions; // [numTokens]
    public ArrayView<int> BlockTables; // [numSeqs, maxBlocksPerSeq]
    public int NumSeqs;
    public float Scale; // the shape's times log2(e)
}

/// <summary>
/// Causal attention in IEEE single precision without tensor cores, after FlashAttention-2: a group makes one head of 64 neighbouring queries of a sequence,
/// a warp 16 of them. It walks the visible keys in tiles of 64. A tile's keys come in parts of 16 elements, its values in parts of 8 keys, one after the
/// other through a ring of three stages: two parts are on their way while one is multiplied. A lane has 4 x 8 scores, which become weights that the warp
/// exchanges through shared memory, and of four queries an eighth of the sums. Tiles begin at multiples of 64 positions, and a tile in which a query sees
/// nothing changes no bit of its row: results depend neither on chunking nor on neighbours nor on the size of blocks. Rows in shared memory lie so that no
/// load meets a bank twice: queries and keys an odd number of 16-byte chunks apart, weights 8 floats more than a multiple of 32.
/// </summary>
internal static class FloatFlashBody<TCache, TRaw, THead>
    where TCache : struct, IFloatFlashCache<TRaw>
    where TRaw : unmanaged
    where THead : unmanaged, IFloatFlashHead<THead>
{
    /// <summary>Queries of a group.</summary>
    public const int TileQueries = 4 * WarpQueries;

    /// <summary>Lanes of a group.</summary>
    public const int GroupSize = 128;

    private const int TileKeys = 64;
    private const int WarpQueries = 16;
    private const int PartDims = 16;
    private const int PartKeys = 8;
    private const int ValueParts = TileKeys / PartKeys;
    private const int Stages = 3;
    private const int MaximaAt = 0, SumsAt = GroupSize; // in the group's memory
    private const int LanesPerKey = PartDims / FloatFlashUnits.Elements;
    private const int LanesPerValue = 16; // where a head has fewer units, some have nothing to bring
    private const int FirstToken = 0, NumRows = 1, First = 2, FirstVisible = 3, Last = 4, Table = 5, KvHead = 6; // in the group's common memory

    private const uint KeyPitch = PartDims * sizeof(float) + 16;
    private const uint WeightPitch = (TileKeys + 8) * sizeof(float);
    private const uint StageBytes = TileKeys * KeyPitch; // more than a part of values

    /// <summary>Shared memory of a group: the queries, the weights and the stages.</summary>
    public static int SharedBytes => TileQueries * (int)(QueryPitch + WeightPitch) + Stages * (int)StageBytes;

    private static uint QueryPitch => (uint)THead.Dims * sizeof(float) + 16;

    private static uint ValuePitch => (uint)THead.Dims * sizeof(float);

    private static int UnitsOfHead => THead.Dims / FloatFlashUnits.Elements;

    private static int KeyParts => THead.Dims / PartDims;

    internal static void Body(FloatFlashArguments arguments, HeadLayout layout)
    {
        PtxIntrinsics.LaunchDependents();
        // One allocation: each lane's largest scores and sums of weights, X of its first query, Y of the one 4 further, and so on; where the rows of this tile
        // and the next lie in the cache; and what is the same for all lanes. All that a lane needs once a tile lies here and takes no registers.
        var memory = SharedMemory.Allocate<Float4>(2 * GroupSize + 2 * TileKeys / 4 + 2);
        var rows = memory.SubView(2 * GroupSize, 2 * TileKeys / 4).Cast<uint>();
        var common = memory.SubView(2 * GroupSize + 2 * TileKeys / 4, 2).Cast<int>();
        var shared = SharedMemory.GetDynamic<Float4>();
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
            common[First] = first;
            common[FirstVisible] = firstVisible;
            common[Last] = last;
            common[Table] = tile.Sequence * layout.MaxBlocksPerSeq;
            common[KvHead] = Grid.IdxX / (layout.NumHeads / layout.NumKvHeads);
        }
        Group.Barrier();
        FindRows(arguments, layout, rows, common, firstKey);
        Group.Barrier();
        PtxIntrinsics.WaitForDependencies();
        int rowHeads = layout.NumHeads + 2 * layout.NumKvHeads;
        LoadQueries(
            queries, arguments.Qkv + ((long)(tile.Token) * rowHeads + Grid.IdxX) * THead.Dims * sizeof(float), (long)rowHeads * THead.Dims * sizeof(float), numRows);
        uint weights = queries + TileQueries * QueryPitch, stages = weights + TileQueries * WeightPitch;
        Fill(arguments, rows, firstKey, stages, 0);
        Fill(arguments, rows, firstKey, stages + StageBytes, 1);

        uint read = stages, write = stages + 2 * StageBytes;
        int warpRow = (Group.IdxX >> 5) * WarpQueries;
        if (warpRow >= numRows)
        {
            // A warp without queries, as all but one are of a token that is decoded, only helps to bring keys and values.
            for (; firstKey <= last; firstKey += TileKeys)
            {
                FindRows(arguments, layout, rows, common, firstKey + TileKeys);
                for (int part = 0; part < KeyParts + ValueParts; part++)
                {
                    Meet();
                    Fill(arguments, rows, firstKey, write, part + 2);
                    write = Next(write, stages);
                }
            }
            return;
        }
        int row = warpRow + FloatFlashLanes.Query(Group.IdxX & 31), key = FloatFlashLanes.Key(Group.IdxX & 31);
        uint query = queries + (uint)row * QueryPitch, ownKey = (uint)key * KeyPitch;
        uint ownWeights = weights + (uint)row * WeightPitch;
        memory[MaximaAt + Group.IdxX] = FlashSoftmax.Same(float.NegativeInfinity);
        memory[SumsAt + Group.IdxX] = default;
        THead output = default;
        for (; firstKey <= common[Last]; firstKey += TileKeys)
        {
            // Nobody reads that half any more: all have met since the last request of the tile before.
            FindRows(arguments, layout, rows, common, firstKey + TileKeys);
            FloatFlashScores scores = default;
            for (int part = 0; part < KeyParts; part++)
            {
                Meet();
                FloatFlashPart<TRaw> next = Request(arguments, rows, firstKey, write, part + 2);
                uint q = query + (uint)part * (PartDims * sizeof(float)), k = read + ownKey;
                scores = FloatFlashScores.AddProducts(scores, q, QueryPitch, k, KeyPitch);
                scores = FloatFlashScores.AddProducts(scores, q + 16, QueryPitch, k + 16, KeyPitch);
                PtxIntrinsics.SyncWarp(); // without it, more is requested ahead than registers can hold
                scores = FloatFlashScores.AddProducts(scores, q + 32, QueryPitch, k + 32, KeyPitch);
                scores = FloatFlashScores.AddProducts(scores, q + 48, QueryPitch, k + 48, KeyPitch);
                Put(next);
                read = Next(read, stages);
                write = Next(write, stages);
            }

            int window = layout.SlidingWindow > 0 ? layout.SlidingWindow : int.MaxValue;
            scores = FloatFlashScores.Mask(scores, common[First] + row - firstKey - key, window);
            Float4 before = memory[MaximaAt + Group.IdxX], largest = FloatFlashScores.Largest(scores, arguments.Scale, before);
            memory[MaximaAt + Group.IdxX] = largest;
            Float4 lowered = FlashSoftmax.Offset(largest), factors = FlashSoftmax.Factors(before, lowered);
            scores = FloatFlashScores.Weights(scores, arguments.Scale, lowered);
            FloatFlashScores.Put(scores, ownWeights + (uint)key * sizeof(float), WeightPitch);
            memory[SumsAt + Group.IdxX] = FloatFlashScores.AddTo(FlashSoftmax.Multiply(memory[SumsAt + Group.IdxX], factors), scores);
            output = THead.Scale(output, factors);

            for (int part = 0; part < ValueParts; part++)
            {
                Meet();
                FloatFlashPart<TRaw> next = Request(arguments, rows, firstKey, write, KeyParts + part + 2);
                uint w = ownWeights + (uint)part * (PartKeys * sizeof(float));
                output = THead.AddValues(output, LoadWeights(w), read, ValuePitch);
                PtxIntrinsics.SyncWarp();
                output = THead.AddValues(output, LoadWeights(w + 16), read + 4 * ValuePitch, ValuePitch);
                Put(next);
                read = Next(read, stages);
                write = Next(write, stages);
            }
        }
        Store(THead.Scale(output, FloatFlashLanes.Inverse(memory[SumsAt + Group.IdxX])), arguments, layout, common[FirstToken], common[NumRows]);
    }

    private static void Store(THead output, FloatFlashArguments arguments, HeadLayout layout, int firstToken, int numRows)
    {
        int lane = Group.IdxX & 31, row = (Group.IdxX >> 5) * WarpQueries + FloatFlashLanes.Query(lane);
        FloatFlashTarget target = new()
        {
            Output = arguments.Output,
            First = ((long)(firstToken + row) * layout.NumHeads + Grid.IdxX) * THead.Dims,
            Stride = (long)FloatFlashLanes.Queries * layout.NumHeads * THead.Dims,
            Count = numRows - row,
            Lane = FloatFlashLanes.Key(lane),
        };
        THead.Store(output, target, 0);
    }

    /// <summary>Waits until the next part is there for all, and all have done with the one before it.</summary>
    private static void Meet()
    {
        PtxIntrinsics.WaitCopies1();
        Group.Barrier();
    }

    private static uint Next(uint stage, uint stages) => stage == stages + (Stages - 1) * StageBytes ? stages : stage + StageBytes;

    /// <summary>The weights of the lane's queries and four keys.</summary>
    private static Four<Float4> LoadWeights(uint address)
    {
        const uint Stride = FloatFlashLanes.Queries * WeightPitch;
        return new()
        {
            A = PtxIntrinsics.LoadShared4(address),
            B = PtxIntrinsics.LoadShared4(address + Stride),
            C = PtxIntrinsics.LoadShared4(address + 2 * Stride),
            D = PtxIntrinsics.LoadShared4(address + 3 * Stride),
        };
    }

    /// <summary>Starts the copies of the queries; rows outside become zeros.</summary>
    private static void LoadQueries(uint target, long source, long stride, int numRows)
    {
        int chunk = Group.IdxX & 31;
        if (chunk >= THead.Dims / 4)
            return;
        for (int row = Group.IdxX >> 5; row < TileQueries; row += GroupSize / 32)
        {
            bool isInside = row < numRows;
            PtxIntrinsics.CopyAsync16OrZero(target + (uint)row * QueryPitch + (uint)chunk * 16, source + (isInside ? row : 0) * stride + chunk * 16, isInside ? 16 : 0);
        }
    }

    /// <summary>Looks up where a tile's rows lie. Two warps do.</summary>
    private static void FindRows(FloatFlashArguments arguments, HeadLayout layout, ArrayView<uint> rows, ArrayView<int> common, int firstKey)
    {
        if (Group.IdxX >= TileKeys)
            return;
        int position = firstKey + Group.IdxX;
        uint row = DecodeRows.None;
        if (position >= common[FirstVisible] && position <= common[Last])
        {
            int block = arguments.BlockTables[common[Table] + position / layout.BlockSize];
            row = layout.RowNumber(block, position % layout.BlockSize, common[KvHead]);
        }
        rows[(firstKey & TileKeys) + Group.IdxX] = row;
    }

    /// <summary>Requests a part and writes it.</summary>
    private static void Fill(FloatFlashArguments arguments, ArrayView<uint> rows, int firstKey, uint stage, int part) =>
        Put(Request(arguments, rows, firstKey, stage, part));

    /// <summary>Requests a part of a tile: of its keys, behind them of its values, behind those of the next tile's keys.</summary>
    private static FloatFlashPart<TRaw> Request(FloatFlashArguments arguments, ArrayView<uint> rows, int firstKey, uint stage, int part)
    {
        FloatFlashPart<TRaw> result = default;
        int half = firstKey & TileKeys, valuePart = part - KeyParts;
        if (valuePart >= 0 && valuePart < ValueParts)
        {
            int row = Group.IdxX / LanesPerValue, lane = Group.IdxX & (LanesPerValue - 1);
            if (lane < UnitsOfHead)
            {
                uint number = rows[half + valuePart * PartKeys + row];
                result.Target = TCache.Target(stage + (uint)row * ValuePitch, lane);
                result.Raw = TCache.Request(result.Target, arguments.Values, number * (uint)UnitsOfHead, lane, UnitsOfHead, arguments.ValueScales, number);
            }
        }
        else
        {
            if (valuePart >= 0)
            {
                half ^= TileKeys;
                part = valuePart - ValueParts;
            }
            int row = Group.IdxX / LanesPerKey, lane = Group.IdxX & (LanesPerKey - 1);
            uint number = rows[half + row];
            result.Target = TCache.Target(stage + (uint)row * KeyPitch, lane);
            result.Raw = TCache.Request(
                result.Target, arguments.Keys, number * (uint)UnitsOfHead + (uint)(part * LanesPerKey), lane, LanesPerKey, arguments.KeyScales, number);
        }
        PtxIntrinsics.CommitCopies();
        return result;
    }

    private static void Put(FloatFlashPart<TRaw> part)
    {
        if (part.Target != 0)
            TCache.Put(part.Target, part.Raw);
    }
}

/// <summary>What a lane brings of a part.</summary>
internal struct FloatFlashPart<TRaw>
    where TRaw : unmanaged
{
    public uint Target; // in shared memory; 0: nothing, as other things lie there
    public TRaw Raw;
}
