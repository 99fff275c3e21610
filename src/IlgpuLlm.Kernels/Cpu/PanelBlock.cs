namespace IlgpuLlm.Kernels.Cpu;

/// <summary>How the elements of a panel are stored.</summary>
internal enum PanelFormat
{
    F32,
    F16,
    Int4,
    Int8,
}

/// <summary>One block of one panel, as <see cref="PanelLayout"/> cuts a matrix.</summary>
internal readonly unsafe struct PanelBlock
{
    /// <summary>How <see cref="Data"/> is stored.</summary>
    public PanelFormat Format { get; init; }

    /// <summary>
    /// Floats, halves or codes of 8 bits, [depth, panelWidth]; codes of 4 bits, [(depth + 1) / 2, panelWidth], an even input's in the lower half of a byte
    /// and the next one's in the upper half: rows share no byte, so that threads can load them.
    /// </summary>
    public byte* Data { get; init; }

    /// <summary>The bits of an element.</summary>
    public int InputBits => Format switch { PanelFormat.F32 => 32, PanelFormat.F16 => 16, PanelFormat.Int8 => 8, _ => 4 };

    /// <summary>Codes: the scales of the panel's groups, [numGroups, panelWidth].</summary>
    public Half* Scales { get; init; }

    /// <summary>Codes: the zero points of the panel's groups, [numGroups, panelWidth].</summary>
    public byte* Zeros { get; init; }

    /// <summary>The first input of the block.</summary>
    public int FirstInput { get; init; }

    /// <summary>The block's inputs.</summary>
    public int Depth { get; init; }

    /// <summary>Codes: the inputs of a group.</summary>
    public int GroupLength { get; init; }
}
