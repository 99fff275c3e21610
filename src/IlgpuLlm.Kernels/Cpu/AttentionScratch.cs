namespace IlgpuLlm.Kernels.Cpu;

/// <summary>One thread's memory for the attention kernel.</summary>
internal sealed unsafe class AttentionScratch : IDisposable
{
    /// <summary>Positions that one step of the online softmax takes, counted from the first visible one.</summary>
    public const int BlockLength = 32;

    private readonly NativeBlock _block;
    private readonly int _queryWidth;

    public AttentionScratch(AttentionShape shape)
    {
        _queryWidth = shape.QueryWidth;
        HeadDim = shape.HeadDim;
        NumHeads = shape.NumHeads;
        _block = new NativeBlock(ComputeByteLength(shape));
    }

    public int HeadDim { get; }

    public int NumHeads { get; }

    /// <summary>Where the keys of the block's positions lie, as floats: [BlockLength].</summary>
    public float** Keys => (float**)_block.Pointer;

    /// <summary>Likewise the values.</summary>
    public float** Values => Keys + BlockLength;

    /// <summary>[BlockLength].</summary>
    public float* Scores => (float*)(Values + BlockLength);

    /// <summary>Keys and values of an F16 cache, widened: [2, BlockLength, HeadDim].</summary>
    public float* Widened => Scores + BlockLength;

    /// <summary>Weighted sums of values: [NumHeads, HeadDim].</summary>
    public float* Sums => Widened + 2 * BlockLength * HeadDim;

    /// <summary>The largest score of each head so far: [NumHeads].</summary>
    public float* Maxima => Sums + _queryWidth;

    /// <summary>The sum of weights of each head so far: [NumHeads].</summary>
    public float* Weights => Maxima + NumHeads;

    public static long ComputeByteLength(AttentionShape shape)
        => 2 * BlockLength * sizeof(float*)
            + sizeof(float) * (BlockLength + 2L * BlockLength * shape.HeadDim + shape.QueryWidth + 2L * shape.NumHeads);

    public void Dispose() => _block.Dispose();
}
