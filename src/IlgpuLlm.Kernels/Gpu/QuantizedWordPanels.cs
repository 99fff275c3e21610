using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Panels of <see cref="QuantizedLayout"/> out of a checkpoint's words.</summary>
internal static unsafe class QuantizedWordPanels
{
    private const int EightsOfPanel = QuantizedLayout.PanelRows / QuantizedWordRows.Eight;

    /// <summary>Packs codes.</summary>
    /// <param name="rows">Rows that begin a panel; those that are missing in the last one become zeros.</param>
    /// <param name="inFeatures">Their inputs.</param>
    /// <param name="panels">The panels.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackCodes(QuantizedWordRows rows, int inFeatures, Span<byte> panels)
    {
        int numBlocks = QuantizedLayout.NumBlocks(inFeatures), blockBytes = QuantizedLayout.BlockBytes(4), wordsOfPanel = EightsOfPanel * rows.WordsOfEight;
        uint* words = stackalloc uint[QuantizedWordRows.WordsTogether];
        fixed (byte* target = panels)
            for (int eight = 0; eight < rows.NumEights; eight += QuantizedWordRows.EightsTogether)
            {
                int numPanels = (Math.Min(QuantizedWordRows.EightsTogether, rows.NumEights - eight) + EightsOfPanel - 1) / EightsOfPanel;
                for (int block = 0; block < numBlocks; block++)
                {
                    rows.ReadCodes(block, eight, numPanels * EightsOfPanel, new(words, QuantizedWordRows.WordsTogether));
                    for (int panel = 0; panel < numPanels; panel++)
                    {
                        byte* packed = target + ((long)(eight / EightsOfPanel + panel) * numBlocks + block) * blockBytes;
                        if (rows.Layout == QuantizedWordLayout.Outputs)
                            QuantizedWordBlocks.PackOutputs(words + panel * wordsOfPanel, rows.Pitch, packed);
                        else
                            QuantizedWordBlocks.PackInputs(words + panel * wordsOfPanel, rows.Pitch, packed);
                    }
                }
            }
    }

    /// <summary>Packs scales and zero points.</summary>
    /// <param name="rows">Rows that begin a panel.</param>
    /// <param name="numGroups">The groups of a row.</param>
    /// <param name="panels">[panels, numGroups, 64], zero where rows are missing in the last one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackGroups(QuantizedWordRows rows, int numGroups, Span<uint> panels)
    {
        if (rows.NumEights % EightsOfPanel != 0)
            panels.Clear();
        Span<byte> zeros = stackalloc byte[QuantizedWordRows.Eight];
        for (int group = 0; group < numGroups; group++)
            for (int eight = 0; eight < rows.NumEights; eight++)
            {
                ReadOnlySpan<ushort> scales = rows.ReadGroup(group, eight, zeros);
                int first = (eight / EightsOfPanel * numGroups + group) * QuantizedLayout.PanelRows + QuantizedLayout.WordOf(eight % EightsOfPanel * QuantizedWordRows.Eight);
                Span<uint> words = panels.Slice(first, 2 * QuantizedWordRows.Eight - 1); // between them lie those of the strip's other half
                for (int i = 0; i < QuantizedWordRows.Eight; i++)
                    words[2 * i] = scales[i] | ((uint)(QuantizedLayout.ZeroBase + zeros[i]) << 16);
            }
    }
}
