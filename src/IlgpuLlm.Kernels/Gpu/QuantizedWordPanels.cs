using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Panels of <see cref="QuantizedLayout"/> out of a checkpoint's words.</summary>
internal static unsafe class QuantizedWordPanels
{
    private const int EightsOfPanel = QuantizedLayout.PanelRows / QuantizedWordRows.Eight;

    // Whose words are gathered together: lines of a file are multiples of a page apart, evict each other from the cache and are best read once.
    private const int PanelsTogether = 4;

    /// <summary>Packs codes.</summary>
    /// <param name="rows">Rows that begin a panel; those that are missing in the last one become zeros.</param>
    /// <param name="inFeatures">Their inputs.</param>
    /// <param name="panels">The panels.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackCodes(QuantizedWordRows rows, int inFeatures, Span<byte> panels)
    {
        bool isOutputs = rows.Layout == QuantizedWordLayout.Outputs;
        int linesOfBlock = isOutputs ? QuantizedLayout.BlockInputs : QuantizedLayout.BlockInputs / QuantizedWords.CodesPerWord;
        int numLines = isOutputs ? inFeatures : inFeatures / QuantizedWords.CodesPerWord, wordsOfPanel = EightsOfPanel * rows.WordsOfEight;
        int numBlocks = QuantizedLayout.NumBlocks(inFeatures), blockBytes = QuantizedLayout.BlockBytes(4), pitch = PanelsTogether * wordsOfPanel;
        uint* lines = stackalloc uint[PanelsTogether * QuantizedLayout.PanelRows * QuantizedLayout.BlockInputs / QuantizedWords.CodesPerWord]; // [linesOfBlock, panels, wordsOfPanel]
        fixed (byte* target = panels)
            for (int eight = 0; eight < rows.NumEights; eight += PanelsTogether * EightsOfPanel)
            {
                int numWords = Math.Min(PanelsTogether * EightsOfPanel, rows.NumEights - eight) * rows.WordsOfEight;
                int numPanels = (numWords + wordsOfPanel - 1) / wordsOfPanel;
                for (int block = 0; block < numBlocks; block++)
                {
                    for (int i = 0; i < linesOfBlock; i++)
                    {
                        var line = new Span<uint>(lines + i * pitch, numPanels * wordsOfPanel);
                        int at = block * linesOfBlock + i, present = at < numLines ? numWords : 0;
                        if (present > 0)
                            rows.CopyCodes(at, eight, line[..present]);
                        if (at + linesOfBlock < numLines)
                            rows.FetchCodes(at + linesOfBlock, eight, numWords);
                        line[present..].Clear();
                    }
                    for (int panel = 0; panel < numPanels; panel++)
                    {
                        byte* packed = target + ((long)(eight / EightsOfPanel + panel) * numBlocks + block) * blockBytes;
                        if (isOutputs)
                            QuantizedWordBlocks.PackOutputs(lines + panel * wordsOfPanel, pitch, packed);
                        else
                            QuantizedWordBlocks.PackInputs(lines + panel * wordsOfPanel, pitch, packed);
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
        Span<int> shifts = stackalloc int[QuantizedWordRows.Eight]; // of each row's zero point
        for (int i = 0; i < shifts.Length; i++)
            shifts[rows.Layout == QuantizedWordLayout.Outputs ? QuantizedWords.OutputOfNibble[i] : i] = 4 * i;
        if (rows.NumEights % EightsOfPanel != 0)
            panels.Clear();
        for (int group = 0; group < numGroups; group++)
            for (int eight = 0; eight < rows.NumEights; eight++)
            {
                ReadOnlySpan<ushort> scales = rows.Scales(group, eight, out uint zeros);
                int first = (eight / EightsOfPanel * numGroups + group) * QuantizedLayout.PanelRows + QuantizedLayout.WordOf(eight % EightsOfPanel * QuantizedWordRows.Eight);
                Span<uint> words = panels.Slice(first, 2 * QuantizedWordRows.Eight - 1); // between them lie those of the strip's other half
                uint addend = (uint)rows.ZeroAddend(eight);
                for (int i = 0; i < QuantizedWordRows.Eight; i++)
                    words[2 * i] = scales[i] | ((QuantizedLayout.ZeroBase + (((zeros >> shifts[i]) + addend) & 15)) << 16);
            }
    }
}
