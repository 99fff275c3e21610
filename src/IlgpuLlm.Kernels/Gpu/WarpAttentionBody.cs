using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What a decode step's attention reads and where it goes; activations are halves.</summary>
internal struct WarpAttentionArguments
{
    /// <summary>[numSeqs, qkvWidth], not rotated.</summary>
    public ArrayView<ushort> Qkv;

    /// <summary>[numSeqs, queryWidth].</summary>
    public ArrayView<ushort> Output;
    public ArrayView<ushort> Keys; // or bytes of codes
    public ArrayView<ushort> Values; // likewise
    public long KeysAddress;
    public long ValuesAddress;

    /// <summary>The rotary table.</summary>
    public ArrayView<float> Table;
    public ArrayView<int> TableRows;
    public ArrayView<int> Positions;
    public ArrayView<int> Slots;
    public ArrayView<int> BlockTables;

    /// <summary>What warps that share a head leave for the last of them: [numSeqs, numHeads, MaxChunks, headDim + 4].</summary>
    public ArrayView<float> Partials;
    public long PartialsAddress;

    /// <summary>How many of them have come: [numSeqs, numHeads]; zero between launches.</summary>
    public ArrayView<int> Arrivals;
    public int BlockShift;
    public HeadLayout Layout;
}

/// <summary>
/// A decode step's attention with few query heads on a key-value head: rotary embedding, cache write and attention of one new token a sequence. A warp has
/// a head of a sequence: its lanes take four positions at a time, eight lanes a position, so that it needs neither shared memory nor barriers, and a
/// multiprocessor keeps a dozen warps' requests under way. A sequence is divided into up to <see cref="MaxChunks"/> chunks by its length alone; sums are
/// added up over the lanes at the end of a chunk and merged chunk by chunk in order: by the warp itself if it has all of them, else by the last warp to
/// come. So a result depends neither on the batch nor on the number of warps that share a head.
/// </summary>
/// <typeparam name="TCache">How the cache is read and written.</typeparam>
/// <typeparam name="TRow">A lane's elements of a key or a value, as they are loaded.</typeparam>
internal static class WarpAttentionBody<TCache, TRow>
    where TCache : struct, IWarpCache<TRow>
    where TRow : unmanaged
{
    private const int MaxChunks = WarpAttentionKernel.MaxChunks, HeadsInGroup = WarpAttentionKernel.HeadsInGroup, PartialExtra = WarpAttentionKernel.PartialExtra;
    private const int StepSize = 16; // positions that a warp takes at a time
    private const int SmallestChunk = 2 * StepSize;
    private const int MaxHeadDim = 128;
    private const int Parts = WarpRows.Parts, Width = WarpRows.Width;
    private const float NoScore = -1e30f; // finite: no NaN where nothing was seen

    internal static void Body(WarpAttentionArguments arguments, DecodeScales scales)
    {
        HeadLayout layout = arguments.Layout;
        int head = Grid.IdxX * HeadsInGroup + Group.IdxX / 32, seq = Grid.IdxY, numSplits = Grid.DimZ;
        if (head >= layout.NumHeads)
            return;
        int part = Group.IdxX % Parts, sub = Group.IdxX / Parts % 4;
        int position = arguments.Positions[seq];
        int first = layout.SlidingWindow > 0 ? IntrinsicMath.Max(0, position + 1 - layout.SlidingWindow) : 0;
        int begin = first & -StepSize, length = IntrinsicMath.Max(1, position + 1 - begin);
        int chunkSize = ChunkSize(length), numChunks = (length + chunkSize - 1) / chunkSize, chunk = Grid.IdxZ;
        if (chunk >= numChunks)
            return;
        int kvHead = head / (layout.NumHeads / layout.NumKvHeads);
        var place = new WarpPlace
        {
            Blocks = seq * layout.MaxBlocksPerSeq,
            KvHead = kvHead,
            First = first,
            Position = position,
            Offset = part * (Width * 2),
            HasHigh = (part + Parts) * Width < layout.HeadDim ? 1 : 0,
        };
        int step = begin + chunk * chunkSize;

        // Before the kernel in front of this one has ended: older keys and values are there since earlier steps.
        var keys = Load(arguments.KeysAddress, scales.KeysAddress, arguments, place, step + sub);
        var values = Load(arguments.ValuesAddress, scales.ValuesAddress, arguments, place, step + sub);
        var angles = LoadAngles(arguments, (long)arguments.TableRows[seq] * layout.HeadDim, part, place);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        if (position < 0)
        {
            // A row that only fills up a graph's batch.
            if (sub == 0)
                WarpRows.Store(arguments.Output, OutputOf(layout, seq, head), part, place, default);
            return;
        }

        const float Log2E = 1.44269504f; // scores are powers of two
        long row = (long)seq * (layout.NumHeads + 2 * layout.NumKvHeads) * layout.HeadDim;
        // What waits for its turn lies in shared memory, where it takes no registers: the newest key and value, and the chunks so far.
        var newest = SharedMemory.Allocate<UInt4>(HeadsInGroup * 4 * Parts).SubView(Group.IdxX / 32 * 4 * Parts, 4 * Parts);
        if ((numChunks - 1 - chunk) % numSplits == 0)
        {
            // This warp comes to the newest position, which is not in the cache yet.
            long key = row + (long)(layout.NumHeads + kvHead) * layout.HeadDim;
            HeadRow newKey = Rotate(arguments, key, angles, part, place);
            HeadRow newValue = LoadActivation(arguments.Qkv, key + (long)layout.NumKvHeads * layout.HeadDim, part, place);
            TRow storedKey = TCache.Narrow(newKey), storedValue = TCache.Narrow(newValue);
            if (sub == 0)
            {
                TCache.Put(newest, part, storedKey);
                TCache.Put(newest, part + 2 * Parts, storedValue);
            }
            if (sub == 0 && head % (layout.NumHeads / layout.NumKvHeads) == 0)
            {
                int slot = arguments.Slots[seq];
                TCache.Store(arguments.Keys, scales.Keys, layout, slot, kvHead, part, place, storedKey);
                TCache.Store(arguments.Values, scales.Values, layout, slot, kvHead, part, place, storedValue);
            }
        }
        HeadRow rotated = Rotate(arguments, row + (long)head * layout.HeadDim, angles, part, place);
        float scale = layout.Scale * Log2E;
        HeadFloats query = new() { Low = Chunks.Scale(Chunks.WidenHalves(rotated.Low), scale), High = Chunks.Scale(Chunks.WidenHalves(rotated.High), scale) };
        bool isAlone = numSplits == 1 || numChunks == 1;
        var soFar = SharedMemory.Allocate<Float4>(HeadsInGroup * MaxHeadDim / 4).Cast<float>().SubView(Group.IdxX / 32 * MaxHeadDim, MaxHeadDim);
        if (sub == 0)
            StoreFloats(soFar, part, default);
        Warp.Barrier();
        HeadFloats sums = default;
        float soFarLargest = NoScore, soFarTotal = 0f, largest = NoScore, total = 0f;
        int chunkEnd = IntrinsicMath.Min(step + chunkSize, position + 1);
        while (chunk < numChunks)
        {
            int at = step + sub;
            if (step + StepSize > position)
            {
                keys = Replace(keys, TCache.Take(newest, part), at, position);
                values = Replace(values, TCache.Take(newest, part + 2 * Parts), at, position);
            }
            Float4 scores = new()
            {
                X = Score(keys.A, query, place, at),
                Y = Score(keys.B, query, place, at + 4),
                Z = Score(keys.C, query, place, at + 8),
                W = Score(keys.D, query, place, at + 12),
            };
            float before = largest;
            largest = IntrinsicMath.Max(largest, LargestOfWarp(scores));
            float rescale = PtxIntrinsics.Exp2(before - largest);
            Float4 weights = new()
            {
                X = PtxIntrinsics.Exp2(scores.X - largest),
                Y = PtxIntrinsics.Exp2(scores.Y - largest),
                Z = PtxIntrinsics.Exp2(scores.Z - largest),
                W = PtxIntrinsics.Exp2(scores.W - largest),
            };
            total = total * rescale + (weights.X + weights.Y + (weights.Z + weights.W));
            sums = new() { Low = Chunks.Scale(sums.Low, rescale), High = Chunks.Scale(sums.High, rescale) };
            sums = TCache.AddValue(sums, values.A, weights.X);
            sums = TCache.AddValue(sums, values.B, weights.Y);
            sums = TCache.AddValue(sums, values.C, weights.Z);
            sums = TCache.AddValue(sums, values.D, weights.W);

            step += StepSize;
            bool isChunkEnd = step >= chunkEnd;
            int done = chunk;
            if (isChunkEnd)
            {
                chunk += numSplits;
                step = begin + chunk * chunkSize;
                chunkEnd = IntrinsicMath.Min(step + chunkSize, position + 1);
            }
            // Nothing of it is read beyond the last chunk: all of that lies behind the newest position.
            keys = Load(arguments.KeysAddress, scales.KeysAddress, arguments, place, step + sub);
            values = Load(arguments.ValuesAddress, scales.ValuesAddress, arguments, place, step + sub);
            if (isChunkEnd)
            {
                sums = new() { Low = SumOfGroups(sums.Low), High = SumOfGroups(sums.High) };
                total = SumOfGroups(total);
                if (isAlone)
                {
                    float both = IntrinsicMath.Max(soFarLargest, largest);
                    float oldScale = PtxIntrinsics.Exp2(soFarLargest - both), newScale = PtxIntrinsics.Exp2(largest - both);
                    if (sub == 0)
                        MergeInto(soFar, part, oldScale, sums, newScale);
                    soFarTotal = PtxIntrinsics.MultiplyAdd(soFarTotal, oldScale, PtxIntrinsics.MultiplyAdd(total, newScale, 0f));
                    soFarLargest = both;
                }
                else if (sub == 0)
                {
                    StorePartial(arguments, PartialOf(layout, seq, head, done), part, place, sums, largest, total);
                }
                sums = default;
                largest = NoScore;
                total = 0f;
            }
        }
        if (!isAlone)
        {
            if (!IsLast(arguments, seq * layout.NumHeads + head, IntrinsicMath.Min(numSplits, numChunks)))
                return;
            for (int c = 0; c < numChunks; c++)
            {
                long from = arguments.PartialsAddress + PartialOf(layout, seq, head, c) * sizeof(float);
                Float4 end = PtxIntrinsics.LoadFromOthers4(from + layout.HeadDim * sizeof(float));
                HeadFloats chunkSums = new()
                {
                    Low = LoadPartial(from + part * (Width * sizeof(float))),
                    High = place.HasHigh != 0 ? LoadPartial(from + (part + Parts) * (Width * sizeof(float))) : default,
                };
                float both = IntrinsicMath.Max(soFarLargest, end.X);
                float oldScale = PtxIntrinsics.Exp2(soFarLargest - both), newScale = PtxIntrinsics.Exp2(end.X - both);
                if (sub == 0)
                    MergeInto(soFar, part, oldScale, chunkSums, newScale);
                soFarTotal = PtxIntrinsics.MultiplyAdd(soFarTotal, oldScale, PtxIntrinsics.MultiplyAdd(end.Y, newScale, 0f));
                soFarLargest = both;
            }
        }
        if (sub == 0)
        {
            float inverse = 1f / soFarTotal;
            HeadFloats result = LoadFloats(soFar, part);
            WarpRows.Store(arguments.Output, OutputOf(layout, seq, head), part, place, new() { Low = Pack(Chunks.Scale(result.Low, inverse)), High = Pack(Chunks.Scale(result.High, inverse)) });
        }
    }

    /// <summary>Up to sixteen chunks, whole steps each: a function of the number of visible positions.</summary>
    private static int ChunkSize(int length)
    {
        int size = SmallestChunk;
        while (size * MaxChunks < length)
            size *= 2;
        return size;
    }

    /// <summary>This lane's parts of four positions, four apart; zeros for those that are not seen.</summary>
    private static Four<TRow> Load(long cache, long scales, WarpAttentionArguments arguments, WarpPlace place, int at) => new()
    {
        A = LoadOne(cache, scales, arguments, place, at),
        B = LoadOne(cache, scales, arguments, place, at + 4),
        C = LoadOne(cache, scales, arguments, place, at + 8),
        D = LoadOne(cache, scales, arguments, place, at + 12),
    };

    private static TRow LoadOne(long cache, long scales, WarpAttentionArguments arguments, WarpPlace place, int at)
    {
        // No branch: the compiler then keeps all requests of a step together. An entry of the block table is read in any case.
        int near = IntrinsicMath.Max(0, IntrinsicMath.Min(at, place.Position));
        int block = arguments.BlockTables[place.Blocks + (near >> arguments.BlockShift)];
        int offset = near & ((1 << arguments.BlockShift) - 1);
        long row = (((long)block * arguments.Layout.NumKvHeads + place.KvHead) << arguments.BlockShift) + offset;
        int isSeen = at >= place.First && at <= place.Position ? 1 : 0;
        return TCache.Load(cache, scales, row, arguments.Layout.HeadDim, place, isSeen);
    }

    private static Four<TRow> Replace(Four<TRow> rows, TRow newest, int at, int position) => new()
    {
        A = at == position ? newest : rows.A,
        B = at + 4 == position ? newest : rows.B,
        C = at + 8 == position ? newest : rows.C,
        D = at + 12 == position ? newest : rows.D,
    };

    private static float Score(TRow key, HeadFloats query, WarpPlace place, int at)
    {
        float score = TCache.Dot(key, query);
        score += Warp.ShuffleXor(score, 1);
        score += Warp.ShuffleXor(score, 2);
        score += Warp.ShuffleXor(score, 4);
        return at >= place.First && at <= place.Position ? score : float.NegativeInfinity;
    }

    private static float LargestOfWarp(Float4 scores)
    {
        float largest = IntrinsicMath.Max(IntrinsicMath.Max(scores.X, scores.Y), IntrinsicMath.Max(scores.Z, scores.W));
        largest = IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, 8));
        return IntrinsicMath.Max(largest, Warp.ShuffleXor(largest, 16));
    }

    /// <summary>Over the four groups of lanes that have different positions.</summary>
    private static float SumOfGroups(float value)
    {
        value += Warp.ShuffleXor(value, 8);
        return value + Warp.ShuffleXor(value, 16);
    }

    private static Float4 SumOfGroups(Float4 values) =>
        new() { X = SumOfGroups(values.X), Y = SumOfGroups(values.Y), Z = SumOfGroups(values.Z), W = SumOfGroups(values.W) };

    private static Float8 SumOfGroups(Float8 values) => new() { Low = SumOfGroups(values.Low), High = SumOfGroups(values.High) };

    private static void MergeInto(ArrayView<float> soFar, int part, float oldScale, HeadFloats sums, float newScale)
    {
        HeadFloats old = LoadFloats(soFar, part);
        StoreFloats(soFar, part, new() { Low = Merge(old.Low, oldScale, sums.Low, newScale), High = Merge(old.High, oldScale, sums.High, newScale) });
    }

    private static HeadFloats LoadFloats(ArrayView<float> row, int part) => new()
    {
        Low = LoadFloats(row, (long)part * Width),
        High = LoadFloats(row, (long)(part + Parts) * Width),
    };

    private static void StoreFloats(ArrayView<float> row, int part, HeadFloats values)
    {
        StoreFloats(row, (long)part * Width, values.Low);
        StoreFloats(row, (long)(part + Parts) * Width, values.High);
    }

    /// <summary>old * oldScale + sums * newScale, in fused steps, so that it rounds alike wherever it stands.</summary>
    private static Float8 Merge(Float8 old, float oldScale, Float8 sums, float newScale) =>
        new() { Low = Merge(old.Low, oldScale, sums.Low, newScale), High = Merge(old.High, oldScale, sums.High, newScale) };

    private static Float4 Merge(Float4 old, float oldScale, Float4 sums, float newScale) => new()
    {
        X = PtxIntrinsics.MultiplyAdd(old.X, oldScale, PtxIntrinsics.MultiplyAdd(sums.X, newScale, 0f)),
        Y = PtxIntrinsics.MultiplyAdd(old.Y, oldScale, PtxIntrinsics.MultiplyAdd(sums.Y, newScale, 0f)),
        Z = PtxIntrinsics.MultiplyAdd(old.Z, oldScale, PtxIntrinsics.MultiplyAdd(sums.Z, newScale, 0f)),
        W = PtxIntrinsics.MultiplyAdd(old.W, oldScale, PtxIntrinsics.MultiplyAdd(sums.W, newScale, 0f)),
    };

    /// <summary>A head of a row of qkv, rotated and rounded, as the cache has it.</summary>
    private static HeadRow Rotate(WarpAttentionArguments arguments, long head, Angles angles, int part, WarpPlace place) => new()
    {
        Low = RotateChunk(arguments, head, angles.LowCos, angles.LowSin, part),
        High = place.HasHigh != 0 ? RotateChunk(arguments, head, angles.HighCos, angles.HighSin, part + Parts) : default,
    };

    /// <summary>The cosines and sines of this lane's chunks.</summary>
    private static Angles LoadAngles(WarpAttentionArguments arguments, long row, int part, WarpPlace place)
    {
        int half = arguments.Layout.HeadDim / 2, low = part * Width, high = (part + Parts) * Width;
        Angles angles = new() { LowCos = LoadFloats(arguments.Table, row + low % half), LowSin = LoadFloats(arguments.Table, row + half + low % half) };
        if (place.HasHigh != 0)
        {
            angles.HighCos = LoadFloats(arguments.Table, row + high % half);
            angles.HighSin = LoadFloats(arguments.Table, row + half + high % half);
        }
        return angles;
    }

    private static Float8 LoadFloats(ArrayView<float> source, long at) => new() { Low = Chunks.LoadVector(source, at), High = Chunks.LoadVector(source, at + 4) };

    private static UInt4 RotateChunk(WarpAttentionArguments arguments, long head, Float8 cos, Float8 sin, int chunk)
    {
        int half = arguments.Layout.HeadDim / 2, element = chunk * Width;
        bool isFirst = element < half;
        Float8 own = Chunks.WidenHalves(F16Vector.Load(arguments.Qkv, head + element));
        Float8 partner = Chunks.WidenHalves(F16Vector.Load(arguments.Qkv, head + (isFirst ? element + half : element - half)));
        float sign = isFirst ? -1f : 1f;
        return Pack(new() { Low = Turn(own.Low, partner.Low, cos.Low, sin.Low, sign), High = Turn(own.High, partner.High, cos.High, sin.High, sign) });
    }

    private static Float4 Turn(Float4 own, Float4 partner, Float4 cos, Float4 sin, float sign) => new()
    {
        X = own.X * cos.X + partner.X * sin.X * sign,
        Y = own.Y * cos.Y + partner.Y * sin.Y * sign,
        Z = own.Z * cos.Z + partner.Z * sin.Z * sign,
        W = own.W * cos.W + partner.W * sin.W * sign,
    };

    private static UInt4 Pack(Float8 values) => new()
    {
        X = PtxIntrinsics.PackHalves(values.Low.X, values.Low.Y),
        Y = PtxIntrinsics.PackHalves(values.Low.Z, values.Low.W),
        Z = PtxIntrinsics.PackHalves(values.High.X, values.High.Y),
        W = PtxIntrinsics.PackHalves(values.High.Z, values.High.W),
    };

    private static HeadRow LoadActivation(ArrayView<ushort> source, long row, int part, WarpPlace place) => new()
    {
        Low = F16Vector.Load(source, row + part * Width),
        High = place.HasHigh != 0 ? F16Vector.Load(source, row + (part + Parts) * Width) : default,
    };

    private static long OutputOf(HeadLayout layout, int seq, int head) => ((long)seq * layout.NumHeads + head) * layout.HeadDim;

    private static long PartialOf(HeadLayout layout, int seq, int head, int chunk) =>
        (((long)seq * layout.NumHeads + head) * MaxChunks + chunk) * (layout.HeadDim + PartialExtra);

    private static void StorePartial(WarpAttentionArguments arguments, long to, int part, WarpPlace place, HeadFloats sums, float largest, float total)
    {
        StoreFloats(arguments.Partials, to + part * Width, sums.Low);
        if (place.HasHigh != 0)
            StoreFloats(arguments.Partials, to + (part + Parts) * Width, sums.High);
        if (part == 0)
            F32Element.Store4(arguments.Partials, to + arguments.Layout.HeadDim, new() { X = largest, Y = total });
    }

    private static void StoreFloats(ArrayView<float> target, long at, Float8 values)
    {
        F32Element.Store4(target, at, values.Low);
        F32Element.Store4(target, at + 4, values.High);
    }

    private static Float8 LoadPartial(long address) =>
        new() { Low = PtxIntrinsics.LoadFromOthers4(address), High = PtxIntrinsics.LoadFromOthers4(address + 4 * sizeof(float)) };

    /// <summary>Whether all warps that share a head have left their chunks; for every lane. Sets the count back for the next launch.</summary>
    private static bool IsLast(WarpAttentionArguments arguments, int index, int numWarps)
    {
        MemoryFence.DeviceLevel();
        Warp.Barrier();
        int before = 0;
        if (Group.IdxX % 32 == 0)
        {
            before = Atomic.Add(ref arguments.Arrivals[index], 1);
            if (before == numWarps - 1)
                arguments.Arrivals[index] = 0;
        }
        return Warp.Shuffle(before, 0) == numWarps - 1;
    }

    /// <summary>Cosines and sines of a lane's two chunks.</summary>
    private struct Angles
    {
        public Float8 LowCos, LowSin, HighCos, HighSin;
    }
}
