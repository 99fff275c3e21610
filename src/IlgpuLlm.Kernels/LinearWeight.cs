namespace IlgpuLlm.Kernels;

/// <summary>
/// The matrix of a linear layer, y = x W^T + b, in the layout that the backend's kernels read: packed once, while it is loaded.
/// Rows are output features, as in a checkpoint: W is [outFeatures, inFeatures].
/// </summary>
public abstract class LinearWeight : IDisposable
{
    /// <summary>Describes a weight.</summary>
    protected LinearWeight(int outFeatures, int inFeatures, ElementType storage, bool hasBias, QuantizationFormat? quantization = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outFeatures);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inFeatures);
        if (storage is not (ElementType.F32 or ElementType.F16))
            throw new ArgumentOutOfRangeException(nameof(storage), storage, "a linear weight is stored as F32 or F16");
        OutFeatures = outFeatures;
        InFeatures = inFeatures;
        Storage = storage;
        HasBias = hasBias;
        Quantization = quantization;
        quantization?.NumGroups(inFeatures); // throws where groups do not divide the row
    }

    /// <summary>The number of output features (rows).</summary>
    public int OutFeatures { get; }

    /// <summary>The number of input features (columns).</summary>
    public int InFeatures { get; }

    /// <summary>The type of the stored weights; of a quantized matrix, the type that its values stand for.</summary>
    public ElementType Storage { get; }

    /// <summary>How the matrix is quantized; null where it is not.</summary>
    public QuantizationFormat? Quantization { get; }

    /// <summary>Whether a bias vector of <see cref="OutFeatures"/> floats is added.</summary>
    public bool HasBias { get; }

    /// <summary>The bytes that the packed form takes on the device, bias included.</summary>
    public abstract long ByteLength { get; }

    /// <summary>
    /// Packs <paramref name="numRows"/> rows of a checkpoint tensor into rows <paramref name="firstRow"/>... of this weight. Several tensors can be
    /// packed one below the other into one weight (query, key and value; gate and up). Calls for different rows may come from different threads.
    /// </summary>
    /// <param name="firstRow">The first row of this weight to fill.</param>
    /// <param name="numRows">The number of rows in <paramref name="source"/>.</param>
    /// <param name="sourceType">F32, F16 or BF16. Narrowing to F16 rounds to nearest even.</param>
    /// <param name="source">Row-major elements, [numRows, inFeatures], little endian.</param>
    /// <exception cref="InvalidOperationException">The weight is quantized.</exception>
    public void LoadRows(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        if (Quantization is not null)
            throw new InvalidOperationException("a quantized weight is filled by LoadQuantizedRows");
        CheckRows(firstRow, numRows);
        if (sourceType is not (ElementType.F32 or ElementType.F16 or ElementType.BF16))
            throw new ArgumentException($"weights are read from F32, F16 or BF16, not {sourceType}", nameof(sourceType));
        long expected = (long)numRows * InFeatures * sourceType.SizeInBytes();
        if (source.Length != expected)
            throw new ArgumentException($"{numRows} rows of {InFeatures} {sourceType} elements take {expected} bytes, not {source.Length}", nameof(source));
        LoadRowsCore(firstRow, numRows, sourceType, source);
    }

    /// <summary>
    /// Packs rows of codes into rows <paramref name="firstRow"/>... of a quantized weight. Calls for different rows may come from different threads.
    /// </summary>
    /// <param name="firstRow">The first row of this weight to fill.</param>
    /// <param name="numRows">The number of rows.</param>
    /// <param name="source">The rows.</param>
    /// <exception cref="InvalidOperationException">The weight is not quantized.</exception>
    public void LoadQuantizedRows(int firstRow, int numRows, QuantizedRows source)
    {
        if (Quantization is null)
            throw new InvalidOperationException("a weight that is not quantized is filled by LoadRows");
        CheckRows(firstRow, numRows);
        long numCodes = (long)numRows * InFeatures, numScales = (long)numRows * Quantization.NumGroups(InFeatures);
        if (source.Codes.Length != numCodes)
            throw new ArgumentException($"{numRows} rows of {InFeatures} features take {numCodes} codes, not {source.Codes.Length}", nameof(source));
        if (source.Scales.Length != numScales || source.Zeros.Length != numScales)
            throw new ArgumentException($"{numRows} rows take {numScales} scales and zero points, not {source.Scales.Length} and {source.Zeros.Length}", nameof(source));
        LoadQuantizedRowsCore(firstRow, numRows, source);
    }

    /// <summary>
    /// Packs rows right out of a checkpoint's words, where this weight can do so with just these rows; otherwise it does nothing, and the rows are to be unpacked for
    /// <see cref="LoadQuantizedRows"/>. Calls for different rows may come from different threads.
    /// </summary>
    /// <param name="firstRow">The first row of this weight to fill.</param>
    /// <param name="numRows">The number of rows.</param>
    /// <param name="source">A matrix of as many inputs and groups as this one.</param>
    /// <param name="sourceRow">Its first row to take.</param>
    /// <returns>Whether the rows were packed.</returns>
    /// <exception cref="InvalidOperationException">The weight is not quantized to 4 bits.</exception>
    public bool TryLoadWords(int firstRow, int numRows, QuantizedWords source, int sourceRow)
    {
        CheckRows(firstRow, numRows);
        CheckWords(source, sourceRow, numRows);
        return TryLoadWordsCore(firstRow, numRows, source, sourceRow);
    }

    /// <summary>The same of a weight of gate and up for some rows of both.</summary>
    /// <param name="firstRow">The first row of the gate and of up.</param>
    /// <param name="numRows">The rows of each.</param>
    /// <param name="gate">The gate's matrix: half of this weight's rows.</param>
    /// <param name="up">Up's matrix, in the same layout.</param>
    /// <returns>Whether the rows were packed.</returns>
    /// <exception cref="InvalidOperationException">The weight is not quantized to 4 bits.</exception>
    public bool TryLoadGateUpWords(int firstRow, int numRows, QuantizedWords gate, QuantizedWords up)
    {
        if (2 * gate.OutFeatures != OutFeatures || gate.OutFeatures != up.OutFeatures || gate.Layout != up.Layout)
            throw new ArgumentException($"gate and up of {OutFeatures} rows in one layout are expected, not {gate.OutFeatures} ({gate.Layout}) and {up.OutFeatures} ({up.Layout})", nameof(up));
        CheckWords(gate, firstRow, numRows);
        CheckWords(up, firstRow, numRows);
        return TryLoadGateUpWordsCore(firstRow, numRows, gate, up);
    }

    /// <summary>Packs rows; the arguments were checked.</summary>
    protected abstract void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source);

    /// <summary>Packs rows of codes; the arguments were checked.</summary>
    protected virtual void LoadQuantizedRowsCore(int firstRow, int numRows, QuantizedRows source) => throw new NotSupportedException("this weight has no codes");

    /// <summary>Packs rows of words if it can; the arguments were checked.</summary>
    protected virtual bool TryLoadWordsCore(int firstRow, int numRows, QuantizedWords source, int sourceRow) => false;

    /// <summary>Packs rows of gate and up if it can; the arguments were checked.</summary>
    protected virtual bool TryLoadGateUpWordsCore(int firstRow, int numRows, QuantizedWords gate, QuantizedWords up) => false;

    /// <summary>Sets elements <paramref name="first"/>... of the bias.</summary>
    public abstract void LoadBias(int first, ReadOnlySpan<float> values);

    /// <summary>
    /// Fills the weight with pseudo-random values, uniform in [-<paramref name="amplitude"/>, <paramref name="amplitude"/>], that depend on
    /// <paramref name="seed"/> alone; made on the device. Biases become zero.
    /// </summary>
    public abstract void FillRandom(ulong seed, float amplitude);

    /// <summary>Frees the memory.</summary>
    public abstract void Dispose();

    /// <summary>Checks an order of inputs, which kernels trust.</summary>
    /// <exception cref="ArgumentException">It does not name as many inputs as there are, or one that there is not.</exception>
    protected void CheckInputOrder(ReadOnlySpan<int> order)
    {
        if (order.IsEmpty)
            return;
        if (order.Length != InFeatures)
            throw new ArgumentException($"an order of {InFeatures} inputs names {order.Length}", nameof(order));
        if (order.IndexOfAnyExceptInRange(0, InFeatures - 1) is >= 0 and var at)
            throw new ArgumentException($"an order of {InFeatures} inputs names input {order[at]}", nameof(order));
    }

    private void CheckWords(QuantizedWords words, int firstRow, int numRows)
    {
        if (Quantization is not { Bits: 4 })
            throw new InvalidOperationException("words have codes of 4 bits; this weight has not");
        long numWords = (long)InFeatures * words.OutFeatures / QuantizedWords.CodesPerWord, numScales = (long)Quantization.NumGroups(InFeatures) * words.OutFeatures;
        if (words.OutFeatures % QuantizedWords.CodesPerWord != 0 || words.Codes.Length != numWords || words.Zeros.Length != numScales / QuantizedWords.CodesPerWord
            || words.Scales.Length != numScales)
        {
            string actual = $"{words.Codes.Length} words of codes and {words.Zeros.Length} of zero points and {words.Scales.Length} scales";
            throw new ArgumentException($"{words.OutFeatures} rows of {InFeatures} features take {numWords}, {numScales / QuantizedWords.CodesPerWord} and {numScales}, not {actual}", nameof(words));
        }
        if (firstRow < 0 || numRows < 0 || firstRow > words.OutFeatures - numRows)
            throw new ArgumentOutOfRangeException(nameof(firstRow), $"rows [{firstRow}, {firstRow + numRows}) lie outside words of {words.OutFeatures} rows");
    }

    private void CheckRows(int firstRow, int numRows)
    {
        if (firstRow < 0 || numRows < 0 || firstRow > OutFeatures - numRows)
            throw new ArgumentOutOfRangeException(nameof(firstRow), $"rows [{firstRow}, {firstRow + numRows}) lie outside a weight of {OutFeatures} rows");
    }
}
