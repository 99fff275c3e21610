namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A kernel of <see cref="HopperLinearKernel"/> and what its launch must know.</summary>
internal sealed record HopperVariant(GpuKernel Kernel, bool IsWide, int Features, int WeightBoxRows, int TailBoxRows, int ActivationBoxRows);

/// <summary>All variants, found by arithmetic.</summary>
internal sealed class HopperVariants
{
    private const int NumEpilogues = 4;
    private const int NumSplits = 4;
    private const int SmallestTokens = 8;

    /// <summary>The relative time of a quarter of a tile of 256 features.</summary>
    public const double TailCost = 0.36;

    /// <summary>Quarters of a tile that has a tail.</summary>
    public const int TailParts = 4;

    /// <summary>Features, groups in a cluster, and the relative time of a tile (128 tokens a group): smaller ones read more for what they multiply.</summary>
    public static readonly (int Features, int Cluster, double Cost, bool HasTail)[] WideTiles =
        [(256, 2, 1.0, true), (256, 1, 1.06, true), (128, 2, 0.54, false), (128, 1, 0.57, false), (64, 1, 0.36, false)];

    public HopperVariants() => All =
    [
        .. WideEpilogues<WideTile<C256, C2>>(), .. WideEpilogues<WideTile<C256, C1>>(), .. WideEpilogues<WideTile<C128, C2>>(),
        .. WideEpilogues<WideTile<C128, C1>>(), .. WideEpilogues<WideTile<C64, C1>>(),
        .. NarrowSplits<C8>(), .. NarrowSplits<C16>(), .. NarrowSplits<C32>(), .. NarrowSplits<C64>(), .. NarrowSplits<C128>(),
    ];

    public IReadOnlyList<HopperVariant> All { get; }

    /// <summary>The tile of a variant that <see cref="Wide"/> returned.</summary>
    public static int WideTileOf(int index) => index / NumEpilogues;

    public int Wide(int tile, LinearEpilogue epilogue) => tile * NumEpilogues + (int)epilogue;

    public int Narrow(int numRows, int split, LinearEpilogue epilogue)
    {
        int tokens = 0;
        while (SmallestTokens << tokens < numRows)
            tokens++;
        int narrow = tokens * NumSplits + System.Numerics.BitOperations.Log2((uint)split);
        return (WideTiles.Length + narrow) * NumEpilogues + (int)epilogue;
    }

    private static HopperVariant[] WideEpilogues<TTile>()
        where TTile : struct, IHopperTile => Epilogues<TTile>($"wide.{TTile.Columns}.c{TTile.ClusterSize}");

    private static HopperVariant[] NarrowSplits<TTokens>()
        where TTokens : struct, IConstant =>
    [
        .. NarrowEpilogues<NarrowTile<TTokens, C1>>(), .. NarrowEpilogues<NarrowTile<TTokens, C2>>(),
        .. NarrowEpilogues<NarrowTile<TTokens, C4>>(), .. NarrowEpilogues<NarrowTile<TTokens, C8>>(),
    ];

    private static HopperVariant[] NarrowEpilogues<TTile>()
        where TTile : struct, IHopperTile => Epilogues<TTile>($"narrow.{TTile.Columns}.k{TTile.ClusterSize}");

    // In the order of LinearEpilogue.
    private static HopperVariant[] Epilogues<TTile>(string name)
        where TTile : struct, IHopperTile =>
    [
        Of<TTile, HalvesEpilogue>(name + ".halves"), Of<TTile, FloatsEpilogue>(name + ".floats"),
        Of<TTile, ResidualEpilogue>(name + ".residual"), Of<TTile, GateUpEpilogue>(name + ".gate-up"),
    ];

    private static HopperVariant Of<TTile, TEpilogue>(string name)
        where TTile : struct, IHopperTile
        where TEpilogue : struct, IHopperEpilogue
    {
        const int MaxRegistersWide = 168; // three warpgroups' share of 65536; they exchange them later
        const int MaxRegistersNarrow = 112; // two groups of 288 lanes a multiprocessor
        var kernel = GpuKernel.Of("linear.hopper." + name, typeof(HopperLinearBody<TTile, TEpilogue>), HopperLinearBody<TTile, TEpilogue>.GroupSize) with
        {
            IsCudaOnly = true,
            Target = "sm_90a",
            MaxRegisters = TTile.IsWide ? MaxRegistersWide : MaxRegistersNarrow,
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperLinearBody<TTile, TEpilogue>.SharedBytes,
        };
        return new HopperVariant(
            kernel, TTile.IsWide, TTile.IsWide ? TTile.Columns : HopperLinearBody<TTile, TEpilogue>.RowsA,
            HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            TTile.HasTail ? HopperLinearBody<TTile, TEpilogue>.TailBoxRows : HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            HopperLinearBody<TTile, TEpilogue>.ActivationBoxRows);
    }
}
