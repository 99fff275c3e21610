using System.Buffers;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A quantized matrix in the layout of <see cref="QuantizedLayout"/>. Each row is loaded once: what there is of a panel that is not complete waits in host
/// memory.
/// </summary>
internal sealed partial class GpuQuantizedWeight : GpuWeight
{
    private readonly QuantizedFillKernel _fillRandom;
    private readonly int _panelBytes, _groupBytes;
    private readonly Dictionary<int, PartialPanel> _partialPanels = [];

    public GpuQuantizedWeight(
        GpuDevice device, QuantizedFillKernel fillRandom, int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias,
        ReadOnlySpan<int> inputOrder, int? upOffset = null)
        : base(device, outFeatures, inFeatures, ElementType.F16, hasBias, format, upOffset)
    {
        CheckInputOrder(inputOrder);
        _fillRandom = fillRandom;
        NumGroups = format.NumGroups(inFeatures);
        GroupLength = format.GroupLength(inFeatures);
        NumPanels = QuantizedLayout.NumPanels(outFeatures);
        long panelBytes = PanelBytes(inFeatures, format);
        long groupBytes = (long)NumGroups * QuantizedLayout.PanelRows * sizeof(uint);
        if (Math.Max(panelBytes, groupBytes) is > StagingBuffer.HalfByteLength and var bytes)
            throw new NotSupportedException($"{QuantizedLayout.PanelRows} rows of {inFeatures} inputs in {NumGroups} groups take {bytes} bytes; {device.Name} loads up to {StagingBuffer.HalfByteLength}");
        _panelBytes = (int)panelBytes;
        _groupBytes = (int)groupBytes;
        Codes = GpuBuffer.Allocate(device, ElementType.I32, (long)NumPanels * _panelBytes / sizeof(int));
        Groups = GpuBuffer.Allocate(device, ElementType.I32, (long)NumPanels * _groupBytes / sizeof(int));
        if (!inputOrder.IsEmpty)
        {
            InputOrder = GpuBuffer.Allocate(device, ElementType.I32, inFeatures);
            device.CopyToDevice(MemoryMarshal.AsBytes(inputOrder), InputOrder.Address);
        }
    }

    /// <summary>Words of the panels' blocks.</summary>
    public GpuBuffer Codes { get; }

    /// <summary>[panels, numGroups, 64]: scales and zero points.</summary>
    public GpuBuffer Groups { get; }

    /// <summary>I32, [inFeatures]; null where inputs are in the order of the rows that they are multiplied by.</summary>
    public GpuBuffer? InputOrder { get; }

    /// <summary>Groups of a row.</summary>
    public int NumGroups { get; }

    /// <summary>Inputs of a group.</summary>
    public int GroupLength { get; }

    /// <summary>Panels of 64 rows.</summary>
    public int NumPanels { get; }

    /// <summary>The weight as halves in the backend's workspace, where it lies during a product of many rows; null before the first one.</summary>
    public GpuLinearWeight? Dequantized { get; set; }

    /// <inheritdoc/>
    public override long ByteLength => LengthInBytes(OutFeatures, InFeatures, Quantization!, HasBias, InputOrder is not null);

    /// <summary>What such a weight takes.</summary>
    public static long LengthInBytes(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered) =>
        QuantizedLayout.NumPanels(outFeatures) * (PanelBytes(inFeatures, format) + (long)format.NumGroups(inFeatures) * QuantizedLayout.PanelRows * sizeof(uint))
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
                int place = PlaceOf(firstRow + row), inPanel = place % QuantizedLayout.PanelRows;
                count = 1;
                while (row + count < numRows && PlaceOf(firstRow + row + count) == place + count)
                    count++;
                int panels = inPanel > 0 ? 0 : place + count == OutFeatures ? QuantizedLayout.NumPanels(count) : count / QuantizedLayout.PanelRows;
                if (panels > 0)
                {
                    panels = Math.Min(panels, StagingBuffer.HalfByteLength / Math.Max(_panelBytes, _groupBytes));
                    count = Math.Min(count, panels * QuantizedLayout.PanelRows);
                    LoadPanels(staging, place / QuantizedLayout.PanelRows, row, count, source);
                }
                else
                {
                    count = Math.Min(count, QuantizedLayout.PanelRows - inPanel);
                    LoadPart(staging, place / QuantizedLayout.PanelRows, inPanel, row, count, source);
                }
            }
            staging.Publish();
        }
        finally
        {
            Device.ReturnStaging(staging);
        }
    }

    private static long PanelBytes(int inFeatures, QuantizationFormat format) =>
        (long)QuantizedLayout.NumBlocks(inFeatures) * QuantizedLayout.BlockBytes(format.Bits);

    /// <summary>Packs neighbouring panels and copies them together.</summary>
    private void LoadPanels(StagingBuffer staging, int firstPanel, int sourceRow, int count, QuantizedRows source)
    {
        int numPanels = QuantizedLayout.NumPanels(count);
        var codes = staging.NextHalf()[..(numPanels * _panelBytes)];
        codes.Clear();
        for (int i = 0; i < count; i++)
            PackRow(i % QuantizedLayout.PanelRows, sourceRow + i, source, codes.Slice(i / QuantizedLayout.PanelRows * _panelBytes, _panelBytes));
        staging.CopyToDevice(Codes.Address + (nint)((long)firstPanel * _panelBytes), codes.Length);
        var groups = staging.NextHalf()[..(numPanels * _groupBytes)];
        groups.Clear();
        for (int i = 0; i < count; i++)
            PackGroups(i % QuantizedLayout.PanelRows, sourceRow + i, source, groups.Slice(i / QuantizedLayout.PanelRows * _groupBytes, _groupBytes));
        staging.CopyToDevice(Groups.Address + (nint)((long)firstPanel * _groupBytes), groups.Length);
    }

    /// <summary>Packs neighbouring rows of one panel, and copies the panel once it is complete.</summary>
    private void LoadPart(StagingBuffer staging, int panel, int firstInPanel, int sourceRow, int count, QuantizedRows source)
    {
        int rowsInPanel = Math.Min(QuantizedLayout.PanelRows, OutFeatures - panel * QuantizedLayout.PanelRows);
        PartialPanel partial;
        lock (_partialPanels)
        {
            if (!_partialPanels.TryGetValue(panel, out partial!))
                _partialPanels.Add(panel, partial = new(_panelBytes, _groupBytes, rowsInPanel));
        }
        lock (partial)
        {
            for (int i = 0; i < count; i++) // rows of four bits share words
                PackRow(firstInPanel + i, sourceRow + i, source, partial.Codes);
        }
        for (int i = 0; i < count; i++)
            PackGroups(firstInPanel + i, sourceRow + i, source, partial.Groups);
        if (Interlocked.Add(ref partial.MissingRows, -count) > 0)
            return;
        lock (_partialPanels)
            _partialPanels.Remove(panel);
        partial.Codes.CopyTo(staging.NextHalf());
        staging.CopyToDevice(Codes.Address + (nint)((long)panel * _panelBytes), _panelBytes);
        partial.Groups.CopyTo(staging.NextHalf());
        staging.CopyToDevice(Groups.Address + (nint)((long)panel * _groupBytes), _groupBytes);
        partial.Dispose();
    }

    private void PackRow(int rowInPanel, int sourceRow, QuantizedRows source, Span<byte> panel) =>
        QuantizedLayout.Pack(Quantization!.Bits, rowInPanel, source.Codes.Slice(sourceRow * InFeatures, InFeatures), panel);

    private void PackGroups(int rowInPanel, int sourceRow, QuantizedRows source, Span<byte> groups)
    {
        var words = MemoryMarshal.Cast<byte, uint>(groups);
        int word = QuantizedLayout.WordOf(rowInPanel), from = sourceRow * NumGroups;
        for (int group = 0; group < NumGroups; group++)
        {
            uint zero = QuantizedLayout.ZeroBase + (uint)source.Zeros[from + group];
            words[group * QuantizedLayout.PanelRows + word] = BitConverter.HalfToUInt16Bits(source.Scales[from + group]) | (zero << 16);
        }
    }

    /// <summary>A panel that some of its rows are missing from.</summary>
    private sealed class PartialPanel : IDisposable
    {
        private readonly byte[] _codes, _groups;
        private readonly int _numBytes, _numGroupBytes;

        public PartialPanel(int numBytes, int numGroupBytes, int numRows)
        {
            (_numBytes, _numGroupBytes, MissingRows) = (numBytes, numGroupBytes, numRows);
            (_codes, _groups) = (ArrayPool<byte>.Shared.Rent(numBytes), ArrayPool<byte>.Shared.Rent(numGroupBytes));
            Codes.Clear();
            Groups.Clear();
        }

        public int MissingRows;

        public Span<byte> Codes => _codes.AsSpan(0, _numBytes);

        public Span<byte> Groups => _groups.AsSpan(0, _numGroupBytes);

        public void Dispose()
        {
            ArrayPool<byte>.Shared.Return(_codes);
            ArrayPool<byte>.Shared.Return(_groups);
        }
    }
}
