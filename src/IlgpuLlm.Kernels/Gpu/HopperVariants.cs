using System.Reflection;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A kernel of <see cref="HopperLinearKernel"/> and what its launch must know.</summary>
internal sealed record HopperVariant(
    GpuKernel Kernel, bool IsWide, int Features, int WeightBoxRows, int TailBoxRows, int ActivationBoxRows, bool StoresBoxes, int OutputBoxColumns);

/// <summary>A wide tile: 128 tokens a group and <paramref name="Features"/> features.</summary>
/// <param name="Features">Features.</param>
/// <param name="Cluster">Groups that share the weights of a tile and take different tokens.</param>
/// <param name="Tail">Features of the parts into which the last tiles are divided; as many as the tile has: they are not.</param>
internal sealed record WideTileForm(int Features, int Cluster, int Tail)
{
    /// <summary>The time of a tile in units of one of 256 features in a cluster of two, measured: smaller ones read more for what they multiply.</summary>
    public double Cost => CostOf(Features);

    /// <summary>The time of a part of the last tiles.</summary>
    public double TailCost => CostOf(Tail);

    private double CostOf(int features) => (Cluster == 1 ? 1.06 : 1.0) * features switch { 64 => 0.35, 128 => 0.56, 192 => 0.78, _ => 1.0 };
}

/// <summary>All variants, found by arithmetic.</summary>
/// <param name="isTf32">Whether operands are floats.</param>
internal sealed class HopperVariants(bool isTf32)
{
    private const int NumSplits = 4;
    private const int SmallestTokens = 8;

    private static readonly Type[] Epilogues = [typeof(HalvesEpilogue), typeof(FloatsEpilogue), typeof(ResidualEpilogue), typeof(GateUpEpilogue)]; // in the order of LinearEpilogue
    private static readonly string[] EpilogueNames = ["halves", "floats", "residual", "gate-up"];
    private static readonly Type[] Stores = [typeof(BoxStores), typeof(LaneStores)];
    private static readonly Type[] Tokens = [typeof(C8), typeof(C16), typeof(C32), typeof(C64), typeof(C128)];
    private static readonly Type[] Splits = [typeof(C1), typeof(C2), typeof(C4), typeof(C8)];

    /// <summary>The wide tiles.</summary>
    public static readonly WideTileForm[] WideTiles =
    [
        new(256, 2, 64), new(256, 2, 128), new(256, 1, 64), new(256, 1, 128), new(192, 2, 64), new(192, 1, 64), new(128, 2, 64), new(128, 1, 64), new(64, 1, 64),
    ];

    private readonly HopperVariant?[] _variants = new HopperVariant?[(NumWide + Tokens.Length * NumSplits) * Epilogues.Length];

    /// <summary>Number of variants, those for measurements included.</summary>
    public int Count => _variants.Length;

    private static int NumWide => WideTiles.Length * Stores.Length;

    /// <summary>A variant; made when first asked for.</summary>
    public HopperVariant this[int index] => _variants[index] ??= Create(index);

    /// <summary>The tile of a variant that <see cref="Wide"/> returned.</summary>
    public static int WideTileOf(int index) => index / Epilogues.Length / Stores.Length;

    /// <summary>The epilogue of a variant.</summary>
    public static LinearEpilogue EpilogueOf(int index) => (LinearEpilogue)(index % Epilogues.Length);

    /// <summary>A wide variant.</summary>
    /// <param name="tile">Index into <see cref="WideTiles"/>.</param>
    /// <param name="storesByLane">Whether lanes store the results, for measurements.</param>
    /// <param name="epilogue">What becomes of the sums.</param>
    public int Wide(int tile, bool storesByLane, LinearEpilogue epilogue) => (tile * Stores.Length + (storesByLane ? 1 : 0)) * Epilogues.Length + (int)epilogue;

    public int Narrow(int numRows, int split, LinearEpilogue epilogue)
    {
        int tokens = 0;
        while (SmallestTokens << tokens < numRows)
            tokens++;
        int narrow = tokens * NumSplits + System.Numerics.BitOperations.Log2((uint)split);
        return (NumWide + narrow) * Epilogues.Length + (int)epilogue;
    }

    private HopperVariant Create(int index)
    {
        int epilogue = index % Epilogues.Length, shape = index / Epilogues.Length;
        Type tile;
        string name;
        bool isTrial = false;
        if (shape < NumWide)
        {
            var form = WideTiles[shape / Stores.Length];
            isTrial = shape % Stores.Length != 0;
            tile = typeof(WideTile<,,,>).MakeGenericType(Constant(form.Features), Constant(form.Cluster), Constant(form.Tail), Stores[shape % Stores.Length]);
            name = $"wide.{form.Features}.{form.Tail}.c{form.Cluster}{(isTrial ? ".lanes" : "")}";
        }
        else
        {
            (int tokens, int split) = Math.DivRem(shape - NumWide, NumSplits);
            tile = typeof(NarrowTile<,>).MakeGenericType(Tokens[tokens], Splits[split]);
            name = $"narrow.{SmallestTokens << tokens}.k{1 << split}";
        }
        if (isTf32)
            (tile, name) = (typeof(Tf32Tile<>).MakeGenericType(tile), "tf32." + name);
        var of = typeof(HopperVariants).GetMethod(nameof(Of), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(tile, Epilogues[epilogue]);
        return (HopperVariant)of.Invoke(null, [$"linear.hopper.{name}.{EpilogueNames[epilogue]}", isTrial])!;
    }

    private static Type Constant(int value) => value switch
    {
        1 => typeof(C1),
        2 => typeof(C2),
        64 => typeof(C64),
        128 => typeof(C128),
        192 => typeof(C192),
        256 => typeof(C256),
        _ => throw new ArgumentOutOfRangeException(nameof(value), value, "no such constant"),
    };

    private static HopperVariant Of<TTile, TEpilogue>(string name, bool isTrial)
        where TTile : struct, IHopperTile
        where TEpilogue : struct, IHopperEpilogue
    {
        const int MaxRegistersWide = 168; // three warpgroups' share of 65536; they exchange them later
        const int MaxRegistersNarrow = 112; // two groups of 288 lanes a multiprocessor
        var kernel = GpuKernel.Of(name, typeof(HopperLinearBody<TTile, TEpilogue>), HopperLinearBody<TTile, TEpilogue>.GroupSize) with
        {
            IsCudaOnly = true,
            IsTrial = isTrial,
            Target = "sm_90a",
            MaxRegisters = TTile.IsWide ? MaxRegistersWide : MaxRegistersNarrow,
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperLinearBody<TTile, TEpilogue>.SharedBytes,
        };
        return new HopperVariant(
            kernel, TTile.IsWide, TTile.IsWide ? TTile.Columns : HopperLinearBody<TTile, TEpilogue>.RowsA,
            HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            TTile.HasTail ? HopperLinearBody<TTile, TEpilogue>.TailBoxRows : HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            HopperLinearBody<TTile, TEpilogue>.ActivationBoxRows, TTile.StoresBoxes, HopperBoxStore<TEpilogue>.BoxColumns);
    }
}
