namespace IlgpuLlm.Kernels.Cpu;

/// <summary>One thread's memory for the attention kernel. A row is a query head of a token.</summary>
internal sealed unsafe class AttentionScratch : IDisposable
{
    /// <summary>Positions that one step of the online softmax takes: [n * BlockLength, (n + 1) * BlockLength), whatever the token sees of them.</summary>
    public const int BlockLength = 32;

    /// <summary>Rows that take a step of the online softmax together.</summary>
    public const int TileRows = 16;

    /// <summary>Rows of an item, where a token's heads are not more. Keys and values are located, widened and transposed once for all of them.</summary>
    private const int ItemRows = 64;

    // Scores are computed four at a time, of which the last may reach beyond the block.
    private const int NumPointers = BlockLength + 4;

    private readonly NativeBlock _block;
    private readonly int _numRows;

    public AttentionScratch(AttentionShape shape)
    {
        HeadDim = shape.HeadDim;
        _numRows = MaxRows(shape);
        _block = new NativeBlock(ComputeByteLength(shape));
        Products = (float*)_block.Pointer;
        Scores = Products + BlockLength * 16;
        Sums = Scores + TileRows * BlockLength + 16;
        Widened = Sums + (long)_numRows * HeadDim;
        TransposedKeys = Widened + 2L * BlockLength * HeadDim;
        Maxima = TransposedKeys + (long)BlockLength * HeadDim;
        TotalWeights = Maxima + _numRows;
        Corrections = TotalWeights + _numRows;
        Keys = (float**)(Corrections + (_numRows + 1L) / 2 * 2);
        Values = Keys + NumPointers;
    }

    public int HeadDim { get; }

    /// <summary>Vectors whose lanes are to be added up, of at most 16 lanes: [BlockLength, 16].</summary>
    public float* Products { get; }

    /// <summary>Scores, then weights: [TileRows, BlockLength], and a vector more, as scores are stored a vector at a time.</summary>
    public float* Scores { get; }

    /// <summary>Weighted sums of values: [rows, HeadDim].</summary>
    public float* Sums { get; }

    /// <summary>Keys and values of a cache of halves or codes, widened: [2, BlockLength, HeadDim].</summary>
    public float* Widened { get; }

    /// <summary>Keys, for many rows: [HeadDim, BlockLength].</summary>
    public float* TransposedKeys { get; }

    /// <summary>The largest score of each row so far: [rows].</summary>
    public float* Maxima { get; }

    /// <summary>The sum of weights of each row so far: [rows].</summary>
    public float* TotalWeights { get; }

    /// <summary>What a row's sums are multiplied with before a block's are added: [rows].</summary>
    public float* Corrections { get; }

    /// <summary>Where the keys of the block's positions lie, as floats: [NumPointers].</summary>
    public float** Keys { get; }

    /// <summary>Likewise the values.</summary>
    public float** Values { get; }

    /// <summary>The tokens of an item of so many heads.</summary>
    public static int TokensOfItem(int numHeads) => Math.Max(1, ItemRows / numHeads);

    public bool Fits(AttentionShape shape) => HeadDim >= shape.HeadDim && _numRows >= MaxRows(shape);

    public static long ComputeByteLength(AttentionShape shape)
    {
        long numRows = MaxRows(shape);
        return sizeof(float) * (BlockLength * 16L + TileRows * BlockLength + 16 + (numRows + 3L * BlockLength) * shape.HeadDim + 3 * numRows + 2)
            + 2L * NumPointers * sizeof(float*);
    }

    /// <summary>Points what lies before the block's first position and behind its last to those: what is read there is not used, or weighs nothing.</summary>
    public void Pad(int first, int end)
    {
        float** keys = Keys, values = Values;
        for (int i = 0; i < NumPointers; i += i == first ? end - first : 1)
        {
            int nearest = Math.Clamp(i, first, end - 1);
            keys[i] = keys[nearest];
            values[i] = values[nearest];
        }
    }

    public void Dispose() => _block.Dispose();

    private static int MaxRows(AttentionShape shape) => Math.Max(ItemRows, shape.NumHeads / shape.NumKvHeads);
}
