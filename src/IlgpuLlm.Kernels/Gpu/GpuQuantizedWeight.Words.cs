using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Loading of whole panels out of a checkpoint's words.</summary>
internal sealed partial class GpuQuantizedWeight
{
    /// <inheritdoc/>
    protected override bool TryLoadWordsCore(int firstRow, int numRows, QuantizedWords source, int sourceRow)
    {
        bool isInOrder = UpOffset >= OutFeatures / 2;
        if (!isInOrder || sourceRow % QuantizedWordRows.Eight != 0 || !ArePanels(firstRow, numRows))
            return false;
        LoadPanels(firstRow / QuantizedLayout.PanelRows, new QuantizedWordRows(source, sourceRow, numRows));
        return true;
    }

    /// <inheritdoc/>
    protected override bool TryLoadGateUpWordsCore(int firstRow, int numRows, QuantizedWords gate, QuantizedWords up)
    {
        if (UpOffset != QuantizedWordRows.Eight || !ArePanels(2 * firstRow, 2 * numRows))
            return false;
        LoadPanels(2 * firstRow / QuantizedLayout.PanelRows, new QuantizedWordRows(gate, up, firstRow, numRows));
        return true;
    }

    /// <summary>Whether rows at these places are complete panels, in eights.</summary>
    private bool ArePanels(int place, int count) =>
        place % QuantizedLayout.PanelRows == 0 && count % QuantizedWordRows.Eight == 0 && (count % QuantizedLayout.PanelRows == 0 || place + count == OutFeatures);

    private void LoadPanels(int firstPanel, QuantizedWordRows rows)
    {
        const int EightsOfPanel = QuantizedLayout.PanelRows / QuantizedWordRows.Eight;
        int most = StagingBuffer.HalfByteLength / Math.Max(_panelBytes, _groupBytes) * EightsOfPanel;
        var staging = Device.RentStaging();
        try
        {
            for (int eight = 0; eight < rows.NumEights; eight += most)
            {
                QuantizedWordRows part = rows.Slice(eight, Math.Min(most, rows.NumEights - eight));
                int panel = firstPanel + eight / EightsOfPanel, numPanels = (part.NumEights + EightsOfPanel - 1) / EightsOfPanel;
                var codes = staging.NextHalf()[..(numPanels * _panelBytes)];
                QuantizedWordPanels.PackCodes(part, InFeatures, codes);
                staging.CopyToDevice(Codes.Address + (nint)((long)panel * _panelBytes), codes.Length);
                var groups = staging.NextHalf()[..(numPanels * _groupBytes)];
                QuantizedWordPanels.PackGroups(part, NumGroups, MemoryMarshal.Cast<byte, uint>(groups));
                staging.CopyToDevice(Groups.Address + (nint)((long)panel * _groupBytes), groups.Length);
            }
            staging.Publish();
        }
        finally
        {
            Device.ReturnStaging(staging);
        }
    }
}
