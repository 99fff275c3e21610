using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// One decode step of attention: rotates queries and key, writes key and value to the cache, and attends. A group has the query heads of one key-value
/// head of one sequence and a split of its positions, so that the cache is read once; its four warps take 16 positions at a time by turns. How a
/// sequence is split depends on its length alone, and partial results are added in order of position: neither the batch nor the graph that it runs in
/// changes a bit. The last group of a sequence and head to arrive adds them up, or, where they are a cluster, the first one. Old keys and values, and all
/// else that it does not make, are requested before the kernel waits for the one in front of it.
/// </summary>
internal static class DecodeAttentionBody<THead, TScaling, TRaw, TChunks, TSums, TMaxHeads, TCluster>
    where THead : struct, IDecodeHead<TRaw, TChunks, TSums>
    where TScaling : struct, IDecodeScaling
    where TRaw : unmanaged
    where TChunks : unmanaged
    where TSums : unmanaged
    where TMaxHeads : struct, IConstant
    where TCluster : struct, IConstant
{
    /// <summary>Lanes of a group.</summary>
    public const int GroupSize = 128;

    private const int Warps = GroupSize / 32;
    private const int StepKeys = 16;
    private const int LineBytes = 128;

    private static int MaxHeads => TMaxHeads.Value; // 8 or 16

    private static bool HasSecond => TMaxHeads.Value > 8;

    /// <summary>Whether the first splits of a sequence and head are a cluster.</summary>
    private static bool HasCluster => TCluster.Value > 1;

    private static int QueryPitch => THead.Dims / 8 + 1; // chunks; odd, so that eight rows lie in different banks

    private static int NewScale => 4 * QueryPitch - 1; // where the scale of the newest key or value lies, in floats: behind its codes

    private static int SumPitch => THead.Dims / 4 + 1; // chunks of four floats

    internal static void Body(DecodeArguments<ushort> arguments, HeadLayout layout, DecodeScales scales)
    {
        PtxIntrinsics.LaunchDependents();
        var queries = SharedMemory.Allocate<UInt4>(MaxHeads * QueryPitch);
        var newKey = SharedMemory.Allocate<UInt4>(QueryPitch);
        var newValue = SharedMemory.Allocate<UInt4>(QueryPitch);
        var maxima = SharedMemory.Allocate<float>(Warps * MaxHeads);
        var weightSums = SharedMemory.Allocate<float>(Warps * MaxHeads);
        var warpSums = SharedMemory.Allocate<Float4>(Warps * MaxHeads * SumPitch);

        int kvHead = Grid.IdxX, sequence = Grid.IdxY, split = Grid.IdxZ;
        int heads = layout.HeadsOfGroup; // of this group
        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        // Requested together with the position: the blocks that are read where the sequence is split as most are.
        long table = (long)sequence * layout.MaxBlocksPerSeq;
        int expected = split * arguments.SmallestSplit + warp * StepKeys;
        int block = FindBlock(arguments, layout, table, expected + (lane & 15));
        int nextBlock = FindBlock(arguments, layout, table, expected + Warps * StepKeys + (lane & 15));
        int slot = arguments.Slots[sequence], tableRow = arguments.TableRows[sequence];
        int newest = arguments.Positions[sequence];
        PtxIntrinsics.SyncWarp(); // all of that is requested by here
        DecodeInput.Clear(layout, queries, newKey, newValue, QueryPitch, MaxHeads);
        if (newest < 0)
        {
            // A row that only fills up a graph's batch.
            PtxIntrinsics.WaitForDependencies();
            for (int i = Group.IdxX; split == 0 && i < heads * layout.HeadDim; i += GroupSize)
                arguments.Output[((long)sequence * layout.NumHeads + kvHead * heads) * layout.HeadDim + i] = 0;
            return;
        }
        int first = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, newest - layout.SlidingWindow + 1) : 0;
        int start = first & ~(StepKeys - 1);
        int length = newest + 1 - start;
        int size = DecodeMerge<F16Element, ushort>.SplitSize(arguments.SmallestSplit, length, arguments.MaxSplits);
        int numSplits = (length + size - 1) / size;
        if (split >= numSplits)
            return;
        int begin = start + split * size, end = IntrinsicMath.Min(begin + size, newest + 1);
        bool hasNewest = end > newest;

        uint exchange = 0;
        bool isCluster = numSplits > 1 && numSplits <= TCluster.Value;
        if (HasCluster && isCluster)
        {
            var received = SharedMemory.GetDynamic<UInt4>();
            exchange = PtxIntrinsics.SharedAddress(ref received[0]);
            DecodeCluster<F16Element, ushort>.Begin(exchange, heads, layout.HeadDim, numSplits);
        }

        int numChunks = layout.HeadDim / 8;
        int step = begin + warp * StepKeys;
        int lastOld = IntrinsicMath.Min(end, newest) - 1;
        DecodeFinder finder = new() { Table = table, First = first, Last = lastOld, KvHead = kvHead };
        if (step != expected)
        {
            block = FindBlock(arguments, layout, table, step + (lane & 15));
            nextBlock = FindBlock(arguments, layout, table, step + Warps * StepKeys + (lane & 15));
        }
        uint rows = FindRow(layout, finder, step + (lane & 15), block);
        uint nextRows = FindRow(layout, finder, step + Warps * StepKeys + (lane & 15), nextBlock);
        TRaw keys = LoadKeys(arguments, rows, numChunks);
        TRaw values = LoadValues(arguments, rows, numChunks);
        float keyScale = TScaling.Load(scales.KeysAddress, rows), valueScale = TScaling.Load(scales.ValuesAddress, rows);

        PtxIntrinsics.SyncWarp(); // all of them are requested by here
        if (HasCluster)
            PrefetchRow(arguments, nextRows, numChunks);
        DecodeTask task = DecodeInput.Request(arguments, layout, Group.IdxX, tableRow);
        PtxIntrinsics.SyncWarp();

        PtxIntrinsics.WaitForDependencies();
        DecodeInput.Prepare(arguments, layout, queries, newKey, newValue, QueryPitch, MaxHeads, task, tableRow, slot, hasNewest, TScaling.HasScales);
        Group.Barrier();
        TScaling.Finish(arguments, scales, layout, newKey, newValue, NewScale, slot, hasNewest);

        const float Log2E = 1.44269504f;
        float scale = layout.Scale * Log2E;
        float largest = float.NegativeInfinity, largest8 = float.NegativeInfinity, sum = 0f, sum8 = 0f;
        TSums sums = default;
        for (; step < end; step += Warps * StepKeys)
        {
            if (newest < step + StepKeys) // the newest key is in this step, and in none behind it
            {
                int index = newest - step;
                keys = THead.ReplaceKeys(keys, newKey, 0, index == lane >> 2, index == (lane >> 2) + 8);
                int place = index - 2 * (lane & 3); // 0, 1, 8 or 9 for this lane's values
                values = THead.ReplaceValues(values, newValue, 0, place >= 8 ? place - 6 : place >= 2 ? -1 : place);
                keyScale = TScaling.Replace(keyScale, newKey, NewScale, index == (lane & 15));
                valueScale = TScaling.Replace(valueScale, newValue, NewScale, index == (lane & 15));
            }
            // Queries are read again for every step: the registers that would keep them are a third group's on a multiprocessor.
            Two<Float4> scores = TScaling.ScaleScores(THead.AddScores(default, THead.LoadQueries(queries, 0, QueryPitch, HasSecond), keys), keyScale);
            keys = LoadKeys(arguments, nextRows, numChunks);
            keyScale = TScaling.Load(scales.KeysAddress, nextRows);
            if (HasCluster)
                PtxIntrinsics.SyncWarp(); // requested here, not behind the values' products: few groups hide nothing for one another

            int position = step + 2 * (lane & 3);
            scores.A = Mask(scores.A, position, first, newest);
            scores.B = Mask(scores.B, position + 8, first, newest);
            float before = largest, before8 = largest8;
            largest = IntrinsicMath.Max(before, QuadMax(Largest(scores.A.X, scores.A.Y, scores.B.X, scores.B.Y)) * scale);
            if (HasSecond)
                largest8 = IntrinsicMath.Max(before8, QuadMax(Largest(scores.A.Z, scores.A.W, scores.B.Z, scores.B.W)) * scale);
            // A step holds at least one visible key: the largest is finite.
            float factor = PtxIntrinsics.Exp2(before - largest), factor8 = HasSecond ? PtxIntrinsics.Exp2(before8 - largest8) : 0f;
            Float4 weights = Weights(scores.A, scale, largest, largest8), others = Weights(scores.B, scale, largest, largest8);
            sum = sum * factor + (weights.X + weights.Y + (others.X + others.Y));
            if (HasSecond)
                sum8 = sum8 * factor8 + (weights.Z + weights.W + (others.Z + others.W));
            Two<Float4> scaled = TScaling.ScaleWeights(new() { A = weights, B = others }, valueScale);
            sums = THead.AddValues(THead.Scale(sums, factor, factor8), FlashSoftmax.Rows(scaled.A, scaled.B), values);
            values = LoadValues(arguments, nextRows, numChunks);
            valueScale = TScaling.Load(scales.ValuesAddress, nextRows);
            int next = step + 2 * Warps * StepKeys + (lane & 15);
            nextRows = FindRow(layout, finder, next, FindBlock(arguments, layout, table, next)); // earlier, it is a register too many
        }

        // The four warps' results, in order.
        sum = TScaling.ScaleSum(QuadSum(sum));
        if (HasSecond)
            sum8 = TScaling.ScaleSum(QuadSum(sum8));
        int head = lane >> 2;
        if ((lane & 3) == 0)
        {
            maxima[warp * MaxHeads + head] = largest;
            weightSums[warp * MaxHeads + head] = sum;
            if (HasSecond)
            {
                maxima[warp * MaxHeads + head + 8] = largest8;
                weightSums[warp * MaxHeads + head + 8] = sum8;
            }
        }
        int at = warp * MaxHeads * SumPitch + head * SumPitch + 4 * (lane & 3);
        if (head < heads)
            THead.Store(sums, warpSums, at, second: false);
        if (HasSecond && head + 8 < heads)
            THead.Store(sums, warpSums, at + 8 * SumPitch, second: true);
        Group.Barrier();

        var results = new DecodeResults
        {
            Sums = warpSums,
            Maxima = maxima,
            WeightSums = weightSums,
            MaxHeads = MaxHeads,
            Chunks = THead.Dims / 4,
            Pitch = SumPitch,
        };
        if (HasCluster && isCluster)
            DecodeCluster<F16Element, ushort>.Finish(arguments, layout, results, exchange, numSplits);
        else
            DecodeMerge<F16Element, ushort>.Finish(arguments, layout, results, numSplits);
    }

    /// <summary>The block of a position; any beyond the table.</summary>
    private static int FindBlock(DecodeArguments<ushort> arguments, HeadLayout layout, long table, int position)
    {
        int block = position >> arguments.BlockShift;
        return block < layout.MaxBlocksPerSeq ? arguments.BlockTables[table + block] : 0;
    }

    /// <summary>A position's row in the cache, where it is old and visible.</summary>
    private static uint FindRow(HeadLayout layout, DecodeFinder finder, int position, int block) =>
        position < finder.First || position > finder.Last
            ? DecodeRows.None
            : TScaling.FindRow(layout, block, position & (layout.BlockSize - 1), finder.KvHead);

    /// <summary>
    /// Brings the key and value that lane l % 16 will ask for in the second step to the second-level cache: registers hold those of one step alone. The lanes
    /// above take the second halves.
    /// </summary>
    private static void PrefetchRow(DecodeArguments<ushort> arguments, uint rows, int numChunks)
    {
        int rowBytes = numChunks * THead.ChunkBytes, offset = (Group.IdxX & 16) * (LineBytes / 16);
        int isValid = rows != DecodeRows.None && offset < rowBytes ? 1 : 0;
        long at = TScaling.FirstChunk(rows, numChunks) * (long)THead.ChunkBytes + offset;
        PtxIntrinsics.PrefetchLine(arguments.KeysAddress + at, isValid);
        PtxIntrinsics.PrefetchLine(arguments.ValuesAddress + at, isValid);
    }

    /// <summary>Lane l knows the row of key l % 16 of the step.</summary>
    private static TRaw LoadKeys(DecodeArguments<ushort> arguments, uint rows, int numChunks)
    {
        rows = TScaling.FirstChunk(rows, numChunks);
        int key = (Group.IdxX & 31) >> 2;
        return THead.LoadKeys(arguments.KeysAddress, Warp.Shuffle(rows, key), Warp.Shuffle(rows, key + 8), 0, numChunks);
    }

    private static TRaw LoadValues(DecodeArguments<ushort> arguments, uint rows, int numChunks)
    {
        rows = TScaling.FirstChunk(rows, numChunks);
        int key = 2 * (Group.IdxX & 3);
        Four<uint> four = new()
        {
            A = Warp.Shuffle(rows, key),
            B = Warp.Shuffle(rows, key + 1),
            C = Warp.Shuffle(rows, key + 8),
            D = Warp.Shuffle(rows, key + 9),
        };
        return THead.LoadValues(arguments.ValuesAddress, four, 0, numChunks);
    }

    private static Float4 Mask(Float4 scores, int position, int first, int newest)
    {
        bool sees = position >= first && position <= newest, seesNext = position + 1 >= first && position + 1 <= newest;
        return new()
        {
            X = sees ? scores.X : float.NegativeInfinity,
            Y = seesNext ? scores.Y : float.NegativeInfinity,
            Z = sees ? scores.Z : float.NegativeInfinity,
            W = seesNext ? scores.W : float.NegativeInfinity,
        };
    }

    private static Float4 Weights(Float4 scores, float scale, float largest, float largest8) => new()
    {
        X = PtxIntrinsics.Exp2(scores.X * scale - largest),
        Y = PtxIntrinsics.Exp2(scores.Y * scale - largest),
        Z = HasSecond ? PtxIntrinsics.Exp2(scores.Z * scale - largest8) : 0f,
        W = HasSecond ? PtxIntrinsics.Exp2(scores.W * scale - largest8) : 0f,
    };

    private static float Largest(float a, float b, float c, float d) => IntrinsicMath.Max(IntrinsicMath.Max(a, b), IntrinsicMath.Max(c, d));

    private static float QuadMax(float value)
    {
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 1));
        return IntrinsicMath.Max(value, Warp.ShuffleXor(value, 2));
    }

    private static float QuadSum(float value)
    {
        value += Warp.ShuffleXor(value, 1);
        return value + Warp.ShuffleXor(value, 2);
    }
}

/// <summary>What is needed to find rows of the cache.</summary>
internal struct DecodeFinder
{
    public long Table; // the sequence's first entry
    public int First, Last; // the positions that are read
    public int KvHead;
}

/// <summary>How sequences are split.</summary>
internal static class DecodeSplits
{
    private const int FewPositions = 64; // one round of a group's four warps
    private const int FewGroups = 64; // key-value heads of all sequences
    private const int ManyGroups = 128; // about as many as an H100 has multiprocessors; a constant, so that results do not depend on the device
    private const int FewSplits = 8; // of a sequence: what a cluster holds

    /// <summary>
    /// The fewest positions of a split. Where there are groups enough without splits these are longer: measured, 8 sequences of Llama-2-7B's shape decode 2 %
    /// faster in longer ones, 128 of Mistral-7B's 7 %, and one sequence of Llama-2-7B's 1 % faster in the shortest. Those are for sequences that have no more
    /// splits than meet in a cluster anyway.
    /// </summary>
    /// <param name="numGroups">Key-value heads of all sequences of the batch.</param>
    /// <param name="numKvHeads">Key-value heads of a sequence.</param>
    public static int Smallest(int numGroups, int numKvHeads) =>
        !IsFew(numGroups) ? 4 * FewPositions : numGroups < FewGroups && Max(numKvHeads) <= FewSplits ? FewPositions : 2 * FewPositions;

    /// <summary>Whether there are fewer groups than multiprocessors, before sequences are split.</summary>
    public static bool IsFew(int numGroups) => numGroups < ManyGroups;

    /// <summary>The most splits of a sequence: with few key-value heads more, so that one sequence has a group for every multiprocessor.</summary>
    public static int Max(int numKvHeads) => numKvHeads >= 32 ? FewSplits : numKvHeads >= 8 ? 16 : 32;
}
