using System.Numerics.Tensors;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Tokens of RotaryAndWriteKv.</summary>
internal sealed unsafe class RotaryJob(CpuKernels kernels) : ParallelJob
{
    public AttentionShape Shape;
    public float* Qkv;
    public RotaryTable Rotary = null!;
    public int* RotaryRows;
    public int* SlotMapping;
    public KvCacheLayer Cache = null!;
    public int NumTokens;

    public override void Execute(int part, int numParts)
    {
        float* table = ((CpuBuffer)Rotary.Values).Floats;
        CpuBuffer keys = (CpuBuffer)Cache.Keys, values = (CpuBuffer)Cache.Values;
        CpuBuffer? keyScales = (CpuBuffer?)Cache.Scales?.Keys, valueScales = (CpuBuffer?)Cache.Scales?.Values;
        int dim = Shape.HeadDim, half = dim / 2, numSlots = Cache.NumBlocks * Cache.BlockSize;
        CpuKernels forHalf = kernels.WidestDividing(half);
        (int first, int end) = Share(NumTokens, part, numParts);
        for (int t = first; t < end; t++)
        {
            int row = RotaryRows[t], slot = SlotMapping[t];
            if ((uint)row >= (uint)Rotary.NumRows || (uint)slot >= (uint)numSlots)
                throw new ArgumentException($"token {t}: rotary row {row} of {Rotary.NumRows}, cache slot {slot} of {numSlots}");
            float* head = Qkv + (long)t * Shape.QkvWidth;
            // Query heads, then key heads, which lie behind them.
            for (int h = 0; h < Shape.NumHeads + Shape.NumKvHeads; h++, head += dim)
                forHalf.Rotate(head, table + (long)row * dim, half);
            WriteHeads(head - Shape.KvWidth, keys, keyScales, slot);
            WriteHeads(head, values, valueScales, slot);
        }
    }

    private void WriteHeads(float* heads, CpuBuffer slab, CpuBuffer? scales, int slot)
    {
        int dim = Shape.HeadDim, block = slot / Cache.BlockSize, offsetInBlock = slot % Cache.BlockSize;
        for (int h = 0; h < Shape.NumKvHeads; h++)
        {
            long row = ((long)block * Shape.NumKvHeads + h) * Cache.BlockSize + offsetInBlock, offset = row * dim;
            var source = new ReadOnlySpan<float>(heads + h * dim, dim);
            if (scales is not null)
                scales.Floats[row] = KvCodes.Quantize(source, new Span<byte>(slab.Pointer + offset, dim));
            else if (slab.Type == ElementType.F32)
                source.CopyTo(new Span<float>(slab.Floats + offset, dim));
            else
                TensorPrimitives.ConvertToHalf(source, new Span<Half>((Half*)slab.Pointer + offset, dim));
        }
    }
}

/// <summary>Runs of tokens and key-value heads of PagedAttention.</summary>
internal sealed unsafe class AttentionJob(CpuKernels kernels) : ParallelJob
{
    public AttentionScratch[] Scratch = [];
    public AttentionShape Shape;
    public float* Qkv;
    public float* Output;
    public int* Positions;
    public int* TokenSequences;
    public int* BlockTables;
    public int MaxBlocksPerSeq;
    public KvCacheLayer Cache = null!;
    public int NumTokens;
    public int NumSeqs;

    public override void Execute(int part, int numParts)
    {
        int group = Shape.NumHeads / Shape.NumKvHeads, splits = CountSplits(group, numParts), item = 0;
        CpuKernels forHead = kernels.WidestDividing(Shape.HeadDim);
        // Dealt out one by one, since later tokens see more.
        for (int token = 0, count; token < NumTokens; token += count)
        {
            count = CountRun(token, AttentionScratch.TokensOfItem(group));
            for (int i = 0; i < Shape.NumKvHeads * splits; i++, item++)
                if (item % numParts == part)
                {
                    (int first, int end) = Share(group, i % splits, splits);
                    Attend(forHead, token, count, i / splits, first, end, Scratch[part]);
                }
        }
    }

    private void Attend(CpuKernels forHead, int token, int count, int kvHead, int firstHead, int endHead, AttentionScratch scratch)
    {
        int head = kvHead * (Shape.NumHeads / Shape.NumKvHeads) + firstHead, position = Positions[token], last = position + count - 1, sequence = TokenSequences[token];
        if ((uint)sequence >= (uint)NumSeqs || position < 0 || last / Cache.BlockSize >= MaxBlocksPerSeq)
            throw new ArgumentException($"token {token}: sequence {sequence} of {NumSeqs}, position {last} with {MaxBlocksPerSeq} blocks of {Cache.BlockSize}");
        forHead.Attend(
            new AttentionItem
            {
                Query = Qkv + (long)token * Shape.QkvWidth + head * Shape.HeadDim,
                QueryStride = Shape.QkvWidth,
                Output = Output + (long)token * Shape.QueryWidth + head * Shape.HeadDim,
                OutputStride = Shape.QueryWidth,
                NumTokens = count,
                NumHeads = endHead - firstHead,
                Shape = Shape,
                FirstPosition = position,
                BlockTable = BlockTables + (long)sequence * MaxBlocksPerSeq,
                Cache = Cache,
                KvHead = kvHead,
            },
            scratch);
    }

    /// <summary>How many tokens from this one on, at most so many, are of one sequence and follow each other.</summary>
    private int CountRun(int token, int most)
    {
        int count = 1;
        while (count < most && token + count < NumTokens && TokenSequences[token + count] == TokenSequences[token] && Positions[token + count] == Positions[token] + count)
            count++;
        return count;
    }

    /// <summary>
    /// Into how many items the query heads of one key-value head are split: one, unless tokens and key-value heads are too few to share out
    /// evenly (one sequence decoding). Each split reads the keys again.
    /// </summary>
    private int CountSplits(int group, int numParts)
    {
        long items = (long)NumTokens * Shape.NumKvHeads;
        int splits = 1;
        while (splits < group && items * splits < 4 * numParts && items * splits % numParts != 0)
            splits++;
        return splits;
    }
}
