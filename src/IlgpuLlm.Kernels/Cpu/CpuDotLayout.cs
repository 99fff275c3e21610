namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Where codes lie that meet 8-bit activations: [panels][groups][2 vectors][blocks of 32 inputs][chunks][outputs of a vector][4 bytes]. A byte of a chunk is
/// an input, or with 4 bits two of them, four apart: 4 or 8 inputs a chunk.
/// </summary>
internal readonly record struct CpuDotLayout(PanelLayout Panels, int Bits, int GroupLength)
{
    /// <summary>The inputs that share an activation's scale.</summary>
    public const int BlockLength = 32;

    public int NumGroups => Panels.InFeatures / GroupLength;

    /// <summary>Blocks of a group; the last may be filled up with zeros where the group is a row.</summary>
    public int BlocksInGroup => (GroupLength + BlockLength - 1) / BlockLength;

    public int NumBlocks => NumGroups * BlocksInGroup;

    public int VectorLength => Panels.PanelWidth / 2;

    public int InputsOfChunk => Bits == 4 ? 8 : 4;

    public long ByteLength => Panels.NumPanels * PanelBytes;

    private long PanelBytes => (long)NumBlocks * BlockLength * Panels.PanelWidth * Bits / 8;

    /// <summary>Whether this layout can hold groups of so many inputs.</summary>
    public static bool Supports(QuantizationFormat format, int inFeatures) => format.NumGroups(inFeatures) == 1 || format.GroupLength(inFeatures) % BlockLength == 0;

    /// <summary>The bytes of a group's codes for one vector of a panel's outputs.</summary>
    public long VectorBytes => (long)BlocksInGroup * BlockLength * VectorLength * Bits / 8;

    /// <summary>The first byte of a group's codes for one vector of a panel's outputs.</summary>
    public long Offset(int panel, int group, int vector) => panel * PanelBytes + (group * 2L + vector) * VectorBytes;
}
