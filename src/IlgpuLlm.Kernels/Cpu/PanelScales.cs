using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>The scales and zero points of a quantized matrix in panels: [numPanels, numGroups, panelWidth].</summary>
internal sealed unsafe class PanelScales : IDisposable
{
    private readonly NativeBlock _scales;
    private readonly NativeBlock _zeros;
    private readonly int _numGroups;
    private readonly int _width;

    public PanelScales(PanelLayout layout, int numGroups)
    {
        (_numGroups, _width) = (numGroups, layout.PanelWidth);
        long length = (long)layout.NumPanels * layout.PanelWidth * numGroups;
        _scales = new NativeBlock(length * sizeof(Half), isDense: true);
        _zeros = new NativeBlock(length, isDense: true);
        // Products of missing rows are computed and dropped; scales that happen to be NaN or subnormal could make them slow.
        if (layout.OutFeatures % layout.PanelWidth != 0)
        {
            nuint last = (nuint)numGroups * (nuint)layout.PanelWidth;
            NativeMemory.Clear(Scales(layout.NumPanels - 1, 0), last * (nuint)sizeof(Half));
            NativeMemory.Clear(Zeros(layout.NumPanels - 1, 0), last);
        }
    }

    public static long ComputeByteLength(PanelLayout layout, int numGroups) => (long)layout.NumPanels * layout.PanelWidth * numGroups * (sizeof(Half) + sizeof(byte));

    public Half* Scales(int panel, int group) => (Half*)_scales.Pointer + ((long)panel * _numGroups + group) * _width;

    public byte* Zeros(int panel, int group) => _zeros.Pointer + ((long)panel * _numGroups + group) * _width;

    /// <summary>Takes those of some rows.</summary>
    public void Load(int firstRow, int numRows, QuantizedRows source)
    {
        for (int r = 0; r < numRows; r++)
            for (int group = 0; group < _numGroups; group++)
            {
                int row = firstRow + r, from = r * _numGroups + group;
                Scales(row / _width, group)[row % _width] = source.Scales[from];
                Zeros(row / _width, group)[row % _width] = source.Zeros[from];
            }
    }

    /// <summary>Takes those of rows of words; a panel has none of an eight's rows or all.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Load(int firstRow, QuantizedWordRows rows)
    {
        Span<byte> zeros = stackalloc byte[QuantizedWordRows.Eight];
        for (int group = 0; group < _numGroups; group++)
            for (int eight = 0; eight < rows.NumEights; eight++)
            {
                int row = firstRow + eight * QuantizedWordRows.Eight;
                ReadOnlySpan<ushort> scales = rows.ReadGroup(group, eight, zeros);
                Vector128.Create(scales).Store((ushort*)Scales(row / _width, group) + row % _width);
                Vector64.Create<byte>(zeros).Store(Zeros(row / _width, group) + row % _width);
            }
    }

    public void Dispose()
    {
        _scales.Dispose();
        _zeros.Dispose();
    }
}
