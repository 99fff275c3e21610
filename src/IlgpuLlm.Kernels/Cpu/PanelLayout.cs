namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Where a weight's elements lie: [blocks of K][panels][k in the block][lane], a panel being two vectors of output features. A kernel walks one
/// block of one panel from its first byte to its last; within a block of K, panels follow each other, so that a thread reads one contiguous run.
/// </summary>
internal readonly record struct PanelLayout(int OutFeatures, int InFeatures, int PanelWidth)
{
    /// <summary>
    /// The depth of a block: sums run over so many products before they are added to the total. 512 x 32 floats are 64 KiB, which each tile of 12 rows
    /// reads from the second-level cache, a line in 12 cycles; half the depth would fit into the first-level cache, but spends 4 % more on sums.
    /// </summary>
    public const int BlockDepth = 512;

    public int NumPanels => (OutFeatures + PanelWidth - 1) / PanelWidth;

    public int NumBlocks => (InFeatures + BlockDepth - 1) / BlockDepth;

    /// <summary>Elements, those of the last panel's missing rows included.</summary>
    public long Length => (long)NumPanels * PanelWidth * InFeatures;

    /// <summary>The depth of a block: <see cref="BlockDepth"/>, or what is left for the last.</summary>
    public int Depth(int block) => Math.Min(BlockDepth, InFeatures - block * BlockDepth);

    /// <summary>The first element of a panel's block; the element of lane l at k in the block lies k * PanelWidth + l behind it.</summary>
    public long Offset(int block, int panel)
        => ((long)block * BlockDepth * NumPanels + (long)panel * Depth(block)) * PanelWidth;
}
