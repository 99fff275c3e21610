namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What becomes of the sums of a product.</summary>
internal enum LinearEpilogue
{
    /// <summary>Halves, [rows, outFeatures].</summary>
    Halves,

    /// <summary>Floats, [rows, outFeatures].</summary>
    Floats,

    /// <summary>Added to floats, [rows, outFeatures].</summary>
    Residual,

    /// <summary>
    /// silu(gate) * up as halves, [rows, outFeatures / 2]. The weight's rows alternate: eight of the gate, the same eight of the up projection.
    /// </summary>
    GateUp,
}

/// <summary>Where a product goes; all device addresses, aligned to 16 bytes.</summary>
internal struct HopperOutput
{
    /// <summary>Halves or floats, as the epilogue says.</summary>
    public long Values;

    /// <summary>F32, [NumColumns]; 0: none.</summary>
    public long Bias;

    /// <summary>Rows to store.</summary>
    public int NumRows;

    /// <summary>Output features, a multiple of 8.</summary>
    public int NumColumns;
}

/// <summary>What <see cref="HopperStore{TEpilogue}"/> does with sums.</summary>
internal interface IHopperEpilogue
{
    /// <summary>Whether halves are stored, otherwise floats.</summary>
    static abstract bool IsHalves { get; }

    /// <summary>Whether eight sums of a gate and eight of an up projection become eight halves.</summary>
    static abstract bool IsGated { get; }

    /// <summary>Whether floats are added to what is there.</summary>
    static abstract bool Accumulates { get; }
}

/// <inheritdoc cref="LinearEpilogue.Halves"/>
internal readonly struct HalvesEpilogue : IHopperEpilogue
{
    public static bool IsHalves => true;

    public static bool IsGated => false;

    public static bool Accumulates => false;
}

/// <inheritdoc cref="LinearEpilogue.Floats"/>
internal readonly struct FloatsEpilogue : IHopperEpilogue
{
    public static bool IsHalves => false;

    public static bool IsGated => false;

    public static bool Accumulates => false;
}

/// <inheritdoc cref="LinearEpilogue.Residual"/>
internal readonly struct ResidualEpilogue : IHopperEpilogue
{
    public static bool IsHalves => false;

    public static bool IsGated => false;

    public static bool Accumulates => true;
}

/// <inheritdoc cref="LinearEpilogue.GateUp"/>
internal readonly struct GateUpEpilogue : IHopperEpilogue
{
    public static bool IsHalves => true;

    public static bool IsGated => true;

    public static bool Accumulates => false;
}
