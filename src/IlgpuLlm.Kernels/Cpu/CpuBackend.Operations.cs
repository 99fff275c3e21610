namespace IlgpuLlm.Kernels.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <inheritdoc/>
    public override void EmbeddingLookup(LinearWeight table, DeviceBuffer tokenIds, DeviceBuffer hidden, int numTokens)
    {
        ShapeChecks.Count(numTokens, nameof(numTokens));
        ShapeChecks.Buffer(tokenIds, ElementType.I32, numTokens, 1, nameof(tokenIds));
        ShapeChecks.Buffer(hidden, ElementType.F32, numTokens, table.InFeatures, nameof(hidden));
        _embedding.Table = table as CpuLinearWeight ?? throw ForeignWeight(table, nameof(table));
        _embedding.TokenIds = CpuBuffer.From(tokenIds).Ints;
        _embedding.Hidden = CpuBuffer.From(hidden).Floats;
        _embedding.NumTokens = numTokens;
        Run(_embedding, (long)numTokens * table.InFeatures);
    }

    /// <inheritdoc/>
    public override void RmsNorm(DeviceBuffer x, DeviceBuffer weight, DeviceBuffer output, int numRows, float epsilon)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Buffer(weight, ElementType.F32, 1, weight.Length, nameof(weight));
        ShapeChecks.Buffer(x, ElementType.F32, numRows, weight.Length, nameof(x));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, weight.Length, nameof(output));
        _rmsNorm.X = CpuBuffer.From(x).Floats;
        _rmsNorm.Weight = CpuBuffer.From(weight).Floats;
        _rmsNorm.Output = CpuBuffer.From(output).Floats;
        _rmsNorm.NumRows = numRows;
        _rmsNorm.Width = checked((int)weight.Length);
        _rmsNorm.Epsilon = epsilon;
        Run(_rmsNorm, (long)numRows * weight.Length);
    }

    /// <inheritdoc/>
    public override void Linear(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows)
        => RunLinear(weight, input, output, nameof(output), numRows, accumulate: false);

    /// <inheritdoc/>
    public override void LinearAdd(LinearWeight weight, DeviceBuffer input, DeviceBuffer residual, int numRows)
        => RunLinear(weight, input, residual, nameof(residual), numRows, accumulate: true);

    /// <inheritdoc/>
    public override void RotaryAndWriteKv(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch)
    {
        CheckAttention(shape, qkv, cache, batch);
        if (rotary.HeadDim != shape.HeadDim)
            throw new ArgumentException($"the rotary table is for heads of {rotary.HeadDim}, the layer's have {shape.HeadDim}", nameof(rotary));
        ShapeChecks.Buffer(batch.RotaryRows, ElementType.I32, batch.NumTokens, 1, nameof(batch.RotaryRows));
        ShapeChecks.Buffer(batch.SlotMapping, ElementType.I32, batch.NumTokens, 1, nameof(batch.SlotMapping));
        CpuBuffer.From(rotary.Values);
        _rotary.Shape = shape;
        _rotary.Qkv = CpuBuffer.From(qkv).Floats;
        _rotary.Rotary = rotary;
        _rotary.RotaryRows = CpuBuffer.From(batch.RotaryRows).Ints;
        _rotary.SlotMapping = CpuBuffer.From(batch.SlotMapping).Ints;
        _rotary.Cache = cache;
        _rotary.NumTokens = batch.NumTokens;
        Run(_rotary, (long)batch.NumTokens * shape.QkvWidth);
    }

    /// <inheritdoc/>
    public override void PagedAttention(AttentionShape shape, DeviceBuffer qkv, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output)
    {
        CheckAttention(shape, qkv, cache, batch);
        ShapeChecks.Buffer(output, ElementType.F32, batch.NumTokens, shape.QueryWidth, nameof(output));
        ShapeChecks.Buffer(batch.Positions, ElementType.I32, batch.NumTokens, 1, nameof(batch.Positions));
        ShapeChecks.Buffer(batch.TokenSequences, ElementType.I32, batch.NumTokens, 1, nameof(batch.TokenSequences));
        ShapeChecks.Buffer(batch.BlockTables, ElementType.I32, batch.NumSeqs, batch.MaxBlocksPerSeq, nameof(batch.BlockTables));
        if (_attention.Scratch is not [var scratch, ..] || !scratch.Fits(shape))
            throw new ArgumentException($"no workspace was reserved for {shape.NumHeads} heads of {shape.HeadDim}", nameof(shape));
        _attention.Shape = shape;
        _attention.Qkv = CpuBuffer.From(qkv).Floats;
        _attention.Output = CpuBuffer.From(output).Floats;
        _attention.Positions = CpuBuffer.From(batch.Positions).Ints;
        _attention.TokenSequences = CpuBuffer.From(batch.TokenSequences).Ints;
        _attention.BlockTables = CpuBuffer.From(batch.BlockTables).Ints;
        _attention.MaxBlocksPerSeq = batch.MaxBlocksPerSeq;
        _attention.Cache = cache;
        _attention.NumTokens = batch.NumTokens;
        _attention.NumSeqs = batch.NumSeqs;
        Run(_attention, (long)batch.NumTokens * shape.QueryWidth * batch.MaxSeqLen);
    }

    /// <inheritdoc/>
    public override void SiluMul(DeviceBuffer gateUp, DeviceBuffer output, int numRows, int width)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Count(width, nameof(width));
        ShapeChecks.Buffer(gateUp, ElementType.F32, numRows, 2L * width, nameof(gateUp));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, width, nameof(output));
        _siluMul.GateUp = CpuBuffer.From(gateUp).Floats;
        _siluMul.Output = CpuBuffer.From(output).Floats;
        _siluMul.NumRows = numRows;
        _siluMul.Width = width;
        Run(_siluMul, (long)numRows * width);
    }

    /// <inheritdoc/>
    public override void GatherRows(DeviceBuffer source, DeviceBuffer indices, DeviceBuffer output, int numRows, int width)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Count(width, nameof(width));
        ShapeChecks.Buffer(source, ElementType.F32, 0, width, nameof(source));
        ShapeChecks.Buffer(indices, ElementType.I32, numRows, 1, nameof(indices));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, width, nameof(output));
        float* from = CpuBuffer.From(source).Floats, to = CpuBuffer.From(output).Floats;
        int* rows = CpuBuffer.From(indices).Ints;
        for (int r = 0; r < numRows; r++)
        {
            if (rows[r] < 0 || (rows[r] + 1L) * width > source.Length)
                throw new ArgumentException($"index {rows[r]} lies outside a source of {source.Length} elements in rows of {width}", nameof(indices));
            new ReadOnlySpan<float>(from + (long)rows[r] * width, width).CopyTo(new Span<float>(to + (long)r * width, width));
        }
    }

    private void RunLinear(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, string nameOfOutput, int numRows, bool accumulate)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Buffer(input, ElementType.F32, numRows, weight.InFeatures, nameof(input));
        ShapeChecks.Buffer(output, ElementType.F32, numRows, weight.OutFeatures, nameOfOutput);
        _linear.Weight = weight as CpuPanelWeight ?? throw ForeignWeight(weight, nameof(weight));
        _linear.Input = CpuBuffer.From(input).Floats;
        _linear.Output = CpuBuffer.From(output).Floats;
        _linear.NumRows = numRows;
        _linear.Accumulate = accumulate;
        Run(_linear, (long)numRows * weight.InFeatures * weight.OutFeatures);
    }

    private static void CheckAttention(AttentionShape shape, DeviceBuffer qkv, KvCacheLayer cache, BatchMetadata batch)
    {
        ShapeChecks.Attention(shape);
        ShapeChecks.Count(batch.NumTokens, nameof(batch.NumTokens));
        ShapeChecks.Buffer(qkv, ElementType.F32, batch.NumTokens, shape.QkvWidth, nameof(qkv));
        ShapeChecks.Cache(cache, shape);
        CpuBuffer.From(cache.Keys);
        CpuBuffer.From(cache.Values);
        if (cache.Scales is { } scales)
        {
            CpuBuffer.From(scales.Keys);
            CpuBuffer.From(scales.Values);
        }
    }

    private static ArgumentException ForeignWeight(LinearWeight weight, string name)
        => new($"the operation takes no weight of this kind or of another backend: {weight.GetType().Name}", name);
}
