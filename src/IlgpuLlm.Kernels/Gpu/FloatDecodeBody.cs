using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// One decode step of attention in single precision, after <see cref="DecodeAttentionBody{THead, TScaling, TRaw, TChunks, TSums, TMaxHeads, TCluster}"/>: a group has the query heads of one
/// key-value head of one sequence and a split of its positions, its four warps take 8 positions at a time by turns. Lane l has elements 4l to 4l + 3 of
/// keys, values and sums. The heads follow each other while keys and values stay in registers; what is known of a head lies in shared memory, each lane's
/// own part. A key's scale multiplies its scores, a value's its weights. How a sequence is split depends on its length alone, and all is added in a fixed order.
/// </summary>
internal static class FloatDecodeBody<TCache>
    where TCache : struct, IFloatDecodeCache
{
    private const int GroupSize = FloatDecodeKernel.GroupSize, MaxHeads = FloatDecodeKernel.MaxHeads;
    private const int Warps = GroupSize / 32;
    private const int StepKeys = 8;
    private const int Lanes = 32;

    internal static void Body(DecodeArguments<float> arguments, HeadLayout layout, DecodeScales scales)
    {
        PtxIntrinsics.LaunchDependents();
        var queries = SharedMemory.Allocate<Float4>(MaxHeads * Lanes);
        var newest4 = SharedMemory.Allocate<Float4>(2 * Lanes + 1); // the newest key, then its value, then the scales of both
        var sums = SharedMemory.Allocate<Float4>(Warps * MaxHeads * Lanes);
        var maxima = SharedMemory.Allocate<float>(Warps * MaxHeads);
        var weightSums = SharedMemory.Allocate<float>(Warps * MaxHeads);

        int kvHead = Grid.IdxX, sequence = Grid.IdxY, split = Grid.IdxZ;
        int heads = layout.HeadsOfGroup; // of this group
        int newest = arguments.Positions[sequence];
        if (newest < 0)
        {
            // A row that only fills up a graph's batch.
            PtxIntrinsics.WaitForDependencies();
            for (int i = Group.IdxX; split == 0 && i < heads * layout.HeadDim; i += GroupSize)
                arguments.Output[((long)sequence * layout.NumHeads + kvHead * heads) * layout.HeadDim + i] = 0f;
            return;
        }
        int first = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, newest - layout.SlidingWindow + 1) : 0;
        int start = first & ~(StepKeys - 1);
        int length = newest + 1 - start;
        int size = DecodeMerge<F32Element, float>.SplitSize(arguments.SmallestSplit, length, arguments.MaxSplits);
        int numSplits = (length + size - 1) / size;
        if (split >= numSplits)
            return;
        int begin = start + split * size, end = IntrinsicMath.Min(begin + size, newest + 1);
        bool hasNewest = end > newest;

        int lane = Group.IdxX & 31, warp = Group.IdxX >> 5;
        int numChunks = layout.HeadDim / 4;
        int step = begin + warp * StepKeys;
        DecodeFinder finder = new()
        {
            Table = (long)sequence * layout.MaxBlocksPerSeq,
            First = first,
            Last = IntrinsicMath.Min(end, newest) - 1,
            KvHead = kvHead,
        };
        uint rows = FindRow(arguments, layout, finder, step + (lane & 7));
        Two<Four<Float4>> keys = Load(arguments.KeysAddress, rows, numChunks), values = Load(arguments.ValuesAddress, rows, numChunks);
        float keyScale = TCache.LoadScale(scales.KeysAddress, rows), valueScale = TCache.LoadScale(scales.ValuesAddress, rows); // of key lane % 8

        PtxIntrinsics.WaitForDependencies();
        Prepare(arguments, layout, queries, newest4, hasNewest);
        if (!TCache.IsExact && hasNewest)
        {
            Group.Barrier();
            TCache.Finish(arguments, scales, layout, newest4);
        }
        for (int head = 0; head < heads; head++)
        {
            sums[(warp * MaxHeads + head) * Lanes + lane] = default;
            maxima[warp * MaxHeads + head] = float.NegativeInfinity;
            weightSums[warp * MaxHeads + head] = 0f;
        }
        Group.Barrier();

        const float Log2E = 1.44269504f;
        float scale = layout.Scale * Log2E;
        while (step < end)
        {
            if (newest < step + StepKeys) // the newest key is in this step, and in none behind it
            {
                keys = Replace(keys, newest4[lane], newest - step);
                values = Replace(values, newest4[Lanes + lane], newest - step);
                if (TCache.HasScales && newest - step == (lane & 7))
                {
                    keyScale = newest4[2 * Lanes].X;
                    valueScale = newest4[2 * Lanes].Y;
                }
            }
            // Of key lane / 4, whose score this lane gets.
            float ownKeyScale = scale, ownValueScale = 1f;
            if (TCache.HasScales)
            {
                ownKeyScale *= Warp.Shuffle(keyScale, lane >> 2);
                ownValueScale = Warp.Shuffle(valueScale, lane >> 2);
            }
            int next = step + Warps * StepKeys, position = step + (lane >> 2);
            bool sees = position >= first && position <= newest;
            rows = FindRow(arguments, layout, finder, next + (lane & 7));
            for (int head = 0; head < heads; head++)
            {
                int state = warp * MaxHeads + head;
                float score = Reduce(Dot(queries[head * Lanes + lane], keys));
                score = sees ? score * ownKeyScale : float.NegativeInfinity;
                float before = maxima[state];
                float largest = IntrinsicMath.Max(before, KeysMax(score)); // a step holds at least one visible key: it is finite
                float factor = PtxIntrinsics.Exp2(before - largest), weight = PtxIntrinsics.Exp2(score - largest);
                maxima[state] = largest;
                weightSums[state] = weightSums[state] * factor + KeysSum(weight);
                sums[state * Lanes + lane] = AddValues(sums[state * Lanes + lane], factor, TCache.HasScales ? weight * ownValueScale : weight, values);
            }
            keys = Load(arguments.KeysAddress, rows, numChunks);
            values = Load(arguments.ValuesAddress, rows, numChunks);
            if (TCache.HasScales)
            {
                keyScale = TCache.LoadScale(scales.KeysAddress, rows);
                valueScale = TCache.LoadScale(scales.ValuesAddress, rows);
            }
            step = next;
        }
        Group.Barrier();

        var results = new DecodeResults
        {
            Sums = sums,
            Maxima = maxima,
            WeightSums = weightSums,
            MaxHeads = MaxHeads,
            Chunks = Lanes,
            Pitch = Lanes,
        };
        DecodeMerge<F32Element, float>.Finish(arguments, layout, results, numSplits);
    }

    /// <summary>A position's row in the cache, where it is old and visible.</summary>
    private static uint FindRow(DecodeArguments<float> arguments, HeadLayout layout, DecodeFinder finder, int position)
    {
        if (position < finder.First || position > finder.Last)
            return DecodeRows.None;
        int block = arguments.BlockTables[finder.Table + (position >> arguments.BlockShift)];
        return TCache.FindRow(layout, block, position & (layout.BlockSize - 1), finder.KvHead);
    }

    /// <summary>Requests this lane's chunk of eight rows; lane l knows row l % 8.</summary>
    private static Two<Four<Float4>> Load(long source, uint rows, int numChunks)
    {
        rows = TCache.FirstChunk(rows, numChunks);
        return new() { A = LoadFour(source, rows, 0, numChunks), B = LoadFour(source, rows, 4, numChunks) };
    }

    private static Four<Float4> LoadFour(long source, uint rows, int index, int numChunks) => new()
    {
        A = LoadOne(source, Warp.Shuffle(rows, index), numChunks),
        B = LoadOne(source, Warp.Shuffle(rows, index + 1), numChunks),
        C = LoadOne(source, Warp.Shuffle(rows, index + 2), numChunks),
        D = LoadOne(source, Warp.Shuffle(rows, index + 3), numChunks),
    };

    private static Float4 LoadOne(long source, uint row, int numChunks)
    {
        int lane = Group.IdxX & 31;
        return TCache.Load(source, row + (long)lane, row != DecodeRows.None && lane < numChunks ? 1 : 0);
    }

    private static Two<Four<Float4>> Replace(Two<Four<Float4>> rows, Float4 newest, int index) =>
        new() { A = Replace(rows.A, newest, index), B = Replace(rows.B, newest, index - 4) };

    private static Four<Float4> Replace(Four<Float4> rows, Float4 newest, int index) => new()
    {
        A = Choose(index == 0, newest, rows.A),
        B = Choose(index == 1, newest, rows.B),
        C = Choose(index == 2, newest, rows.C),
        D = Choose(index == 3, newest, rows.D),
    };

    private static Float4 Choose(bool condition, Float4 a, Float4 b) => new()
    {
        X = condition ? a.X : b.X,
        Y = condition ? a.Y : b.Y,
        Z = condition ? a.Z : b.Z,
        W = condition ? a.W : b.W,
    };

    /// <summary>This lane's part of eight scores.</summary>
    private static Float8 Dot(Float4 query, Two<Four<Float4>> keys) => new() { Low = Dot(query, keys.A), High = Dot(query, keys.B) };

    private static Float4 Dot(Float4 query, Four<Float4> keys) =>
        new() { X = Dot(query, keys.A), Y = Dot(query, keys.B), Z = Dot(query, keys.C), W = Dot(query, keys.D) };

    private static float Dot(Float4 a, Float4 b) =>
        PtxIntrinsics.MultiplyAdd(a.W, b.W, PtxIntrinsics.MultiplyAdd(a.Z, b.Z, PtxIntrinsics.MultiplyAdd(a.Y, b.Y, a.X * b.X)));

    /// <summary>The sum over all lanes of score lane / 4: lanes give away half of what they have, three times.</summary>
    private static float Reduce(Float8 scores)
    {
        float a = Halve(scores.Low.X, scores.High.X, 16), b = Halve(scores.Low.Y, scores.High.Y, 16);
        float c = Halve(scores.Low.Z, scores.High.Z, 16), d = Halve(scores.Low.W, scores.High.W, 16);
        a = Halve(a, c, 8);
        b = Halve(b, d, 8);
        a = Halve(a, b, 4);
        a += Warp.ShuffleXor(a, 2);
        return a + Warp.ShuffleXor(a, 1);
    }

    private static float Halve(float first, float second, int mask)
    {
        bool isUpper = (Group.IdxX & mask) != 0;
        float kept = isUpper ? second : first, given = isUpper ? first : second;
        return kept + Warp.ShuffleXor(given, mask);
    }

    private static float KeysMax(float value)
    {
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 4));
        value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, 8));
        return IntrinsicMath.Max(value, Warp.ShuffleXor(value, 16));
    }

    private static float KeysSum(float value)
    {
        value += Warp.ShuffleXor(value, 4);
        value += Warp.ShuffleXor(value, 8);
        return value + Warp.ShuffleXor(value, 16);
    }

    /// <summary>sums * factor + weights . values; lane l knows the weight of value l / 4.</summary>
    private static Float4 AddValues(Float4 sums, float factor, float weight, Two<Four<Float4>> values)
    {
        sums = new() { X = sums.X * factor, Y = sums.Y * factor, Z = sums.Z * factor, W = sums.W * factor };
        return AddValues(AddValues(sums, weight, 0, values.A), weight, 4, values.B);
    }

    private static Float4 AddValues(Float4 sums, float weight, int index, Four<Float4> values)
    {
        sums = AddValue(sums, Warp.Shuffle(weight, 4 * index), values.A);
        sums = AddValue(sums, Warp.Shuffle(weight, 4 * index + 4), values.B);
        sums = AddValue(sums, Warp.Shuffle(weight, 4 * index + 8), values.C);
        return AddValue(sums, Warp.Shuffle(weight, 4 * index + 12), values.D);
    }

    private static Float4 AddValue(Float4 sums, float weight, Float4 value) => new()
    {
        X = PtxIntrinsics.MultiplyAdd(weight, value.X, sums.X),
        Y = PtxIntrinsics.MultiplyAdd(weight, value.Y, sums.Y),
        Z = PtxIntrinsics.MultiplyAdd(weight, value.Z, sums.Z),
        W = PtxIntrinsics.MultiplyAdd(weight, value.W, sums.W),
    };

    /// <summary>
    /// Rotates the group's queries into shared memory, and, in the group that has the newest position, the key, which goes to the cache too, as does the
    /// value, unless the cache is not exact. Chunks beyond the heads become zeros.
    /// </summary>
    private static void Prepare(DecodeArguments<float> arguments, HeadLayout layout, ArrayView<Float4> queries, ArrayView<Float4> newest, bool hasNewest)
    {
        int kvHead = Grid.IdxX, sequence = Grid.IdxY;
        int heads = layout.HeadsOfGroup, numChunks = layout.HeadDim / 4, half = layout.HeadDim / 8;
        var qkv = arguments.Qkv.Cast<Float4>().AsAligned(16);
        var table = arguments.Table.Cast<Float4>().AsAligned(16);
        long row = (long)sequence * (layout.NumHeads + 2 * layout.NumKvHeads) * numChunks;
        long angles = (long)arguments.TableRows[sequence] * numChunks;
        int slot = arguments.Slots[sequence];
        uint cacheRow = layout.CacheChunkOfFloats(slot >> arguments.BlockShift, slot & (layout.BlockSize - 1), kvHead);
        var cachedKey = arguments.Keys.Cast<Float4>().AsAligned(16);
        var cachedValue = arguments.Values.Cast<Float4>().AsAligned(16);

        for (int i = Group.IdxX; i < heads * Lanes; i += GroupSize)
        {
            if ((i & (Lanes - 1)) >= numChunks)
                queries[i] = default;
        }
        int numTasks = (heads + (hasNewest ? 1 : 0)) * half;
        for (int i = Group.IdxX; i < numTasks; i += GroupSize)
        {
            int head = i / half, chunk = i % half;
            long from = row + (long)(head < heads ? kvHead * heads + head : layout.NumHeads + kvHead) * numChunks + chunk;
            Float4 a = qkv[from], b = qkv[from + half], cos = table[angles + chunk], sin = table[angles + half + chunk];
            Float4 firstHalf = new() { X = a.X * cos.X - b.X * sin.X, Y = a.Y * cos.Y - b.Y * sin.Y, Z = a.Z * cos.Z - b.Z * sin.Z, W = a.W * cos.W - b.W * sin.W };
            Float4 secondHalf = new() { X = b.X * cos.X + a.X * sin.X, Y = b.Y * cos.Y + a.Y * sin.Y, Z = b.Z * cos.Z + a.Z * sin.Z, W = b.W * cos.W + a.W * sin.W };
            if (head < heads)
            {
                queries[head * Lanes + chunk] = firstHalf;
                queries[head * Lanes + chunk + half] = secondHalf;
            }
            else
            {
                newest[chunk] = firstHalf;
                newest[chunk + half] = secondHalf;
                if (TCache.IsExact)
                {
                    cachedKey[cacheRow + (long)chunk] = firstHalf;
                    cachedKey[cacheRow + (long)(chunk + half)] = secondHalf;
                }
            }
        }
        if (!hasNewest || Group.IdxX >= Lanes)
            return;
        int own = Group.IdxX;
        Float4 value = default;
        if (own < numChunks)
        {
            value = qkv[row + (long)(layout.NumHeads + layout.NumKvHeads + kvHead) * numChunks + own];
            if (TCache.IsExact)
                cachedValue[cacheRow + (long)own] = value;
        }
        else
        {
            newest[own] = default;
        }
        newest[Lanes + own] = value;
    }
}
