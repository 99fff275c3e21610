namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>
/// Sequences taken through RotaryAndWriteKv and PagedAttention the way an engine does: in steps that mix chunks of several sequences, with blocks
/// scattered over the cache and every slot NaN before it is written.
/// </summary>
internal sealed class AttentionRun
{
    public required AttentionShape Shape { get; init; }

    public required int BlockSize { get; init; }

    public required ElementType CacheType { get; init; }

    /// <summary>Each sequence's rows before the rotation: [length, qkvWidth].</summary>
    public required float[][] Sequences { get; init; }

    /// <summary>[positions, headDim].</summary>
    public required float[] RotaryTable { get; init; }

    /// <summary>The steps; each says how many further tokens every sequence has in it. What is left over comes in one last step.</summary>
    public IReadOnlyList<int[]> Steps { get; init; } = [];

    /// <summary>
    /// After a run with a cache of codes, each sequence's rows as attention saw them, keys and values read from the cache: [length, qkvWidth].
    /// </summary>
    public double[][] Cached { get; private set; } = [];

    /// <summary>A workspace for attention alone.</summary>
    public static WorkspaceShape Workspace(AttentionShape shape, int maxTokens, int maxSeqLen) =>
        new(new ModelShape(shape.QueryWidth, 1, shape, ElementType.F32), maxTokens, maxTokens, maxSeqLen);

    private int Length(int sequence) => Sequences[sequence].Length / Shape.QkvWidth;

    /// <summary>Runs all steps on a fresh backend and returns each sequence's outputs: [length, queryWidth].</summary>
    public float[][] Execute(Backend backend)
    {
        int numSeqs = Sequences.Length, maxLength = Enumerable.Range(0, numSeqs).Max(Length), total = Enumerable.Range(0, numSeqs).Sum(Length);
        int maxBlocks = (maxLength + BlockSize - 1) / BlockSize, numBlocks = numSeqs * maxBlocks + 3;
        backend.ReserveWorkspace(Workspace(Shape, total, maxLength));

        int[] order = [.. Enumerable.Range(0, numBlocks)];
        new Random(7).Shuffle(order);
        using var slab = new TestCache(backend, CacheType, Shape, numBlocks, BlockSize);
        KvCacheLayer cache = slab.Layer;
        using DeviceBuffer tableValues = backend.Upload(RotaryTable);
        var rotary = new RotaryTable(tableValues, RotaryTable.Length / Shape.HeadDim, Shape.HeadDim);
        BatchMetadata batch = CreateBatch(backend, total, numSeqs, maxBlocks);
        using DeviceBuffer qkv = backend.Allocate(ElementType.F32, (long)total * Shape.QkvWidth);
        using DeviceBuffer output = backend.Allocate(ElementType.F32, (long)total * Shape.QueryWidth);

        float[][] results = [.. Enumerable.Range(0, numSeqs).Select(s => new float[Length(s) * Shape.QueryWidth])];
        var done = new int[numSeqs];
        int[] all = [.. Enumerable.Repeat(maxLength, numSeqs)];
        foreach (int[] step in Steps.Append(all))
        {
            List<(int Sequence, int Count)> chunks =
                [.. Enumerable.Range(0, numSeqs).Select(s => (s, Math.Min(step[s], Length(s) - done[s]))).Where(c => c.Item2 > 0)];
            if (chunks.Count == 0)
                continue;
            int tokens = FillBatch(backend, batch, chunks, done, order, maxBlocks);
            backend.Upload(chunks.SelectMany(c => Sequences[c.Sequence].Skip(done[c.Sequence] * Shape.QkvWidth).Take(c.Count * Shape.QkvWidth)).ToArray(), qkv.Slice(0, (long)tokens * Shape.QkvWidth));
            backend.RotaryAndWriteKv(Shape, qkv, rotary, cache, batch);
            backend.PagedAttention(Shape, qkv, cache, batch, output);
            float[] outputs = backend.Download(output.Slice(0, (long)tokens * Shape.QueryWidth));
            int row = 0;
            foreach ((int sequence, int count) in chunks)
            {
                outputs.AsSpan(row * Shape.QueryWidth, count * Shape.QueryWidth).CopyTo(results[sequence].AsSpan(done[sequence] * Shape.QueryWidth));
                row += count;
                done[sequence] += count;
            }
        }
        DisposeBatch(batch);
        if (CacheType == ElementType.U8)
            Cached = [.. Enumerable.Range(0, numSeqs).Select(s => ReadCodes(s, slab, position => (order[s * maxBlocks + position / BlockSize], position % BlockSize)))];
        return results;
    }

    /// <summary>Empty metadata for batches up to these sizes.</summary>
    public static BatchMetadata CreateBatch(Backend backend, int maxTokens, int maxSeqs, int maxBlocks) => new()
    {
        TokenIds = backend.Allocate(ElementType.I32, maxTokens),
        Positions = backend.Allocate(ElementType.I32, maxTokens),
        RotaryRows = backend.Allocate(ElementType.I32, maxTokens),
        SlotMapping = backend.Allocate(ElementType.I32, maxTokens),
        TokenSequences = backend.Allocate(ElementType.I32, maxTokens),
        QueryStartLoc = backend.Allocate(ElementType.I32, maxSeqs + 1),
        SeqLens = backend.Allocate(ElementType.I32, maxSeqs),
        BlockTables = backend.Allocate(ElementType.I32, (long)maxSeqs * maxBlocks),
        LogitsIndices = backend.Allocate(ElementType.I32, maxSeqs),
        MaxBlocksPerSeq = maxBlocks,
    };

    /// <summary>Disposes metadata.</summary>
    public static void DisposeBatch(BatchMetadata b)
    {
        foreach (DeviceBuffer buffer in new[] { b.TokenIds, b.Positions, b.RotaryRows, b.SlotMapping, b.TokenSequences, b.QueryStartLoc, b.SeqLens, b.BlockTables, b.LogitsIndices })
            buffer.Dispose();
    }

    private double[] ReadCodes(int sequence, TestCache cache, Func<int, (int Block, int Offset)> find)
    {
        double[] rows = TestTensors.Exact(Sequences[sequence]);
        for (int p = 0; p < Length(sequence); p++)
        {
            int at = p * Shape.QkvWidth;
            for (int h = 0; h < Shape.NumHeads; h++, at += Shape.HeadDim)
                ReferenceKernels.Rotate(Sequences[sequence].AsSpan(at, Shape.HeadDim), RotaryTable.AsSpan(p * Shape.HeadDim, Shape.HeadDim)).CopyTo(rows, at);
            var (block, offset) = find(p);
            for (int h = 0; h < Shape.NumKvHeads; h++, at += Shape.HeadDim)
            {
                var (key, value) = cache.ReadCodes((block * Shape.NumKvHeads + h) * BlockSize + offset, Shape.HeadDim);
                key.CopyTo(rows, at);
                value.CopyTo(rows, at + Shape.KvWidth);
            }
        }
        return rows;
    }

    private int FillBatch(Backend backend, BatchMetadata batch, List<(int Sequence, int Count)> chunks, int[] done, int[] order, int maxBlocks)
    {
        List<int> positions = [], slots = [], sequences = [], starts = [0], lens = [], tables = [];
        foreach ((int sequence, int count) in chunks)
        {
            for (int p = done[sequence]; p < done[sequence] + count; p++)
            {
                positions.Add(p);
                slots.Add(order[sequence * maxBlocks + p / BlockSize] * BlockSize + p % BlockSize);
                sequences.Add(lens.Count);
            }
            starts.Add(positions.Count);
            lens.Add(done[sequence] + count);
            // Blocks that the sequence has not reached yet must not be read: their ids are invalid.
            int numBlocks = (lens[^1] + BlockSize - 1) / BlockSize;
            tables.AddRange(Enumerable.Range(0, maxBlocks).Select(b => b < numBlocks ? order[sequence * maxBlocks + b] : -1));
        }
        void Put(List<int> values, DeviceBuffer buffer) => backend.Upload(values.ToArray(), buffer.Slice(0, values.Count));
        Put(positions, batch.Positions);
        Put(positions, batch.RotaryRows);
        Put(slots, batch.SlotMapping);
        Put(sequences, batch.TokenSequences);
        Put(starts, batch.QueryStartLoc);
        Put(lens, batch.SeqLens);
        Put(tables, batch.BlockTables);
        batch.NumTokens = positions.Count;
        batch.NumSeqs = chunks.Count;
        batch.MaxQueryLen = chunks.Max(c => c.Count);
        batch.MaxSeqLen = lens.Max();
        return positions.Count;
    }
}
