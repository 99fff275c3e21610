using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A quantized matrix in the layout of <see cref="QuantizedLayout"/>. Each row is loaded once: what there is of a strip that is not complete waits in host
/// memory.
/// </summary>
internal sealed class GpuQuantizedWeight : GpuWeight
{
    private readonly QuantizedFillKernel _fillRandom;
    private readonly int _stripBytes, _groupBytes;
    private readonly Dictionary<int, PartialStrip> _partialStrips = [];

    public GpuQuantizedWeight(
        GpuDevice device, QuantizedFillKernel fillRandom, int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias,
        ReadOnlySpan<int> inputOrder, int? upOffset = null)
        : base(device, outFeatures, inFeatures, ElementType.F16, hasBias, format, upOffset)
    {
        CheckInputOrder(inputOrder);
        _fillRandom = fillRandom;
        NumGroups = format.NumGroups(inFeatures);
        GroupLength = format.GroupLength(inFeatures);
        NumStrips = QuantizedLayout.NumStrips(outFeatures);
        long stripBytes = StripBytes(inFeatures, format);
        if (stripBytes > StagingBuffer.HalfByteLength)
            throw new NotSupportedException($"16 rows of {inFeatures} inputs take {stripBytes} bytes; {device.Name} loads up to {StagingBuffer.HalfByteLength}");
        _stripBytes = (int)stripBytes;
        _groupBytes = NumGroups * QuantizedLayout.StripRows * sizeof(uint);
        Codes = GpuBuffer.Allocate(device, ElementType.I32, (long)NumStrips * _stripBytes / sizeof(int));
        Groups = GpuBuffer.Allocate(device, ElementType.I32, (long)NumStrips * _groupBytes / sizeof(int));
        if (!inputOrder.IsEmpty)
        {
            InputOrder = GpuBuffer.Allocate(device, ElementType.I32, inFeatures);
            device.CopyToDevice(MemoryMarshal.AsBytes(inputOrder), InputOrder.Address);
        }
    }

    /// <summary>Words of the strips' blocks.</summary>
    public GpuBuffer Codes { get; }

    /// <summary>[strips, numGroups, 16]: scales and zero points.</summary>
    public GpuBuffer Groups { get; }

    /// <summary>I32, [inFeatures]; null where inputs are in the order of the rows that they are multiplied by.</summary>
    public GpuBuffer? InputOrder { get; }

    /// <summary>Groups of a row.</summary>
    public int NumGroups { get; }

    /// <summary>Inputs of a group.</summary>
    public int GroupLength { get; }

    /// <summary>Strips of 16 rows.</summary>
    public int NumStrips { get; }

    /// <summary>The weight as halves in the backend's workspace, where it lies during a product of many rows; null before the first one.</summary>
    public GpuLinearWeight? Dequantized { get; set; }

    /// <inheritdoc/>
    public override long ByteLength => LengthInBytes(OutFeatures, InFeatures, Quantization!, HasBias, InputOrder is not null);

    /// <summary>What such a weight takes.</summary>
    public static long LengthInBytes(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered) =>
        QuantizedLayout.NumStrips(outFeatures) * (StripBytes(inFeatures, format) + (long)format.NumGroups(inFeatures) * QuantizedLayout.StripRows * sizeof(uint))
        + (hasBias ? (long)outFeatures * sizeof(float) : 0) + (isReordered ? (long)inFeatures * sizeof(int) : 0);

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        Codes.Dispose();
        Groups.Dispose();
        InputOrder?.Dispose();
    }

    /// <inheritdoc/>
    protected override void FillMatrix(ulong seed, float amplitude) => _fillRandom.Launch(this, seed, amplitude);

    /// <inheritdoc/>
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        throw new NotSupportedException("a quantized weight has no rows of elements");

    /// <inheritdoc/>
    protected override void LoadQuantizedRowsCore(int firstRow, int numRows, QuantizedRows source)
    {
        var staging = Device.RentStaging();
        try
        {
            for (int row = 0, count; row < numRows; row += count)
            {
                int place = PlaceOf(firstRow + row), strip = place / QuantizedLayout.StripRows;
                count = 1;
                while (row + count < numRows && PlaceOf(firstRow + row + count) == place + count && (place + count) / QuantizedLayout.StripRows == strip)
                    count++;
                LoadPart(staging, strip, place % QuantizedLayout.StripRows, row, count, source);
            }
            staging.Publish();
        }
        finally
        {
            Device.ReturnStaging(staging);
        }
    }

    private static long StripBytes(int inFeatures, QuantizationFormat format) =>
        (long)QuantizedLayout.NumBlocks(inFeatures) * QuantizedLayout.BlockBytes(format.Bits);

    /// <summary>Packs neighbouring rows of one strip, and copies the strip once it is complete.</summary>
    private void LoadPart(StagingBuffer staging, int strip, int firstInStrip, int sourceRow, int count, QuantizedRows source)
    {
        int rowsInStrip = Math.Min(QuantizedLayout.StripRows, OutFeatures - strip * QuantizedLayout.StripRows);
        if (count == rowsInStrip)
        {
            var half = staging.NextHalf()[.._stripBytes];
            half.Clear();
            PackRows(firstInStrip, sourceRow, count, source, half);
            staging.CopyToDevice(Codes.Address + (nint)((long)strip * _stripBytes), _stripBytes);
            var words = new uint[NumGroups * QuantizedLayout.StripRows];
            PackGroups(firstInStrip, sourceRow, count, source, words);
            CopyGroups(staging, strip, words);
            return;
        }
        PartialStrip partial;
        lock (_partialStrips)
        {
            if (!_partialStrips.TryGetValue(strip, out partial!))
                _partialStrips.Add(strip, partial = new(_stripBytes, NumGroups * QuantizedLayout.StripRows, rowsInStrip));
        }
        PackRows(firstInStrip, sourceRow, count, source, partial.Codes); // rows share no bytes: no lock
        PackGroups(firstInStrip, sourceRow, count, source, partial.Words);
        if (Interlocked.Add(ref partial.MissingRows, -count) > 0)
            return;
        lock (_partialStrips)
            _partialStrips.Remove(strip);
        partial.Codes.CopyTo(staging.NextHalf());
        staging.CopyToDevice(Codes.Address + (nint)((long)strip * _stripBytes), _stripBytes);
        CopyGroups(staging, strip, partial.Words);
    }

    private void CopyGroups(StagingBuffer staging, int strip, uint[] words)
    {
        MemoryMarshal.AsBytes(words.AsSpan()).CopyTo(staging.NextHalf());
        staging.CopyToDevice(Groups.Address + (nint)((long)strip * _groupBytes), _groupBytes);
    }

    private void PackRows(int firstInStrip, int sourceRow, int count, QuantizedRows source, Span<byte> strip)
    {
        for (int i = 0; i < count; i++)
            QuantizedLayout.Pack(Quantization!.Bits, firstInStrip + i, source.Codes.Slice((sourceRow + i) * InFeatures, InFeatures), strip);
    }

    private void PackGroups(int firstInStrip, int sourceRow, int count, QuantizedRows source, Span<uint> words)
    {
        for (int i = 0; i < count; i++)
        {
            int word = QuantizedLayout.WordOf(firstInStrip + i), from = (sourceRow + i) * NumGroups;
            for (int group = 0; group < NumGroups; group++)
            {
                uint zero = QuantizedLayout.ZeroBase + (uint)source.Zeros[from + group];
                words[group * QuantizedLayout.StripRows + word] = BitConverter.HalfToUInt16Bits(source.Scales[from + group]) | (zero << 16);
            }
        }
    }

    /// <summary>A strip that some of its rows are missing from.</summary>
    private sealed class PartialStrip(int numBytes, int numWords, int numRows)
    {
        public int MissingRows = numRows;

        public byte[] Codes { get; } = new byte[numBytes];

        public uint[] Words { get; } = new uint[numWords];
    }
}
