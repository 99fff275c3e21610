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

    /// <summary>The time of a part of the last tiles: loads are as many stages ahead as with whole tiles, so fewer bytes.</summary>
    public double TailCost => 1.03 * CostOf(Tail);

    private double CostOf(int features) => (Cluster == 1 && features > 64 ? 1.06 : 1.0) * features switch { 64 => 0.35, 128 => 0.56, 192 => 0.78, _ => 1.0 };
}

/// <summary>How narrow tiles of up to 128 tokens are made.</summary>
/// <param name="Features">Features a group.</param>
/// <param name="Kilobytes">The shared memory that a group may take: 112: two groups a multiprocessor, 75: three, 56: four.</param>
/// <param name="Neighbours">Groups that load activations together.</param>
internal sealed record NarrowForm(int Features, int Kilobytes, int Neighbours)
{
    /// <summary>Groups that fit a multiprocessor, with the kilobyte that each takes beside.</summary>
    public int GroupsThatFit => 228 / (Kilobytes + 1);
}

/// <summary>All variants, found by arithmetic.</summary>
/// <param name="isTf32">Whether operands are floats.</param>
internal sealed class HopperVariants(bool isTf32)
{
    private const int MinStages = 3;
    private const int MaxCluster = 8; // that every device of sm_90 takes
    private const int SmallestTokens = 8;

    // In the order of LinearEpilogue.
    private static readonly Type[] Epilogues = [typeof(HalvesEpilogue), typeof(FloatsEpilogue), typeof(ResidualEpilogue), typeof(GateUpEpilogue)];
    private static readonly string[] EpilogueNames = ["halves", "floats", "residual", "gate-up"];
    private static readonly Type[] Stores = [typeof(BoxStores), typeof(LaneStores)];
    private static readonly Type[] Tokens = [typeof(C8), typeof(C16), typeof(C32), typeof(C64), typeof(C128)];
    private static readonly Type[] Splits = [typeof(C1), typeof(C2), typeof(C4), typeof(C8)];

    /// <summary>The wide tiles.</summary>
    public static readonly WideTileForm[] WideTiles =
    [
        new(256, 2, 64), new(256, 2, 128), new(256, 1, 64), new(256, 1, 128), new(192, 2, 64), new(192, 1, 64), new(128, 2, 64), new(128, 1, 64), new(64, 1, 64),
    ];

    /// <summary>The ways to make narrow tiles.</summary>
    public static readonly NarrowForm[] NarrowForms =
    [
        new(64, 112, 1), new(64, 75, 1), new(64, 56, 1), new(128, 112, 1), new(128, 75, 1), new(64, 112, 2), new(64, 75, 2), new(128, 112, 2),
    ];

    private readonly HopperVariant?[] _variants = new HopperVariant?[(NumWide + NarrowForms.Length * Tokens.Length * Splits.Length) * Epilogues.Length];

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

    /// <summary>A narrow variant.</summary>
    /// <param name="form">Index into <see cref="NarrowForms"/>; null: the one that fits best.</param>
    /// <param name="numRows">Rows.</param>
    /// <param name="split">Groups that share the k of a tile: all that the bits of a result depend on.</param>
    /// <param name="epilogue">What becomes of the sums.</param>
    public int Narrow(int? form, int numRows, int split, LinearEpilogue epilogue)
    {
        int tokens = 0;
        while (SmallestTokens << tokens < numRows)
            tokens++;
        int way = form is { } wanted && Exists(NarrowForms[wanted], SmallestTokens << tokens, split) ? wanted : BestForm(SmallestTokens << tokens, split);
        int narrow = (way * Tokens.Length + tokens) * Splits.Length + System.Numerics.BitOperations.Log2((uint)split);
        return (NumWide + narrow) * Epilogues.Length + (int)epilogue;
    }

    /// <summary>Whether there is such a variant: half a box of activations is a period of the swizzle at least, and loads are ahead.</summary>
    public bool Exists(int index)
    {
        int shape = index / Epilogues.Length;
        if (shape < NumWide)
            return true;
        (int form, int tokens, int split) = NarrowOf(shape);
        return Exists(NarrowForms[form], SmallestTokens << tokens, 1 << split);
    }

    private static bool Exists(NarrowForm form, int tokens, int split) =>
        form.Neighbours * split <= MaxCluster && tokens >= 8 * form.Neighbours && (form.Kilobytes - 1) * 1024 / (128 * (form.Features + tokens) + 16) >= MinStages;

    /// <summary>
    /// Measured. Where groups share k there are just as many as the device takes at a time: smaller ones leave room for the next launch's, whose weights are
    /// then on their way. With many tokens, activations must be read less often.
    /// </summary>
    private static int BestForm(int tokens, int split) => tokens > 64 || (tokens == 64 && split == 1) ? 3 : split > 1 ? 1 : 0;

    private HopperVariant Create(int index)
    {
        int epilogue = index % Epilogues.Length, shape = index / Epilogues.Length;
        Type tile;
        string name;
        bool isTrial = false;
        int groupsThatFit = 1;
        if (shape < NumWide)
        {
            var form = WideTiles[shape / Stores.Length];
            isTrial = shape % Stores.Length != 0;
            tile = typeof(WideTile<,,,>).MakeGenericType(Constant(form.Features), Constant(form.Cluster), Constant(form.Tail), Stores[shape % Stores.Length]);
            name = $"wide.{form.Features}.{form.Tail}.c{form.Cluster}{(isTrial ? ".lanes" : "")}";
        }
        else
        {
            (int way, int tokens, int split) = NarrowOf(shape);
            var form = NarrowForms[way];
            isTrial = way != BestForm(SmallestTokens << tokens, 1 << split);
            groupsThatFit = form.GroupsThatFit;
            tile = typeof(NarrowTile<,,,,>).MakeGenericType(
                Tokens[tokens], Constant(form.Features), Constant(form.Kilobytes), Constant(form.Neighbours), Splits[split]);
            string neighbours = form.Neighbours > 1 ? $"n{form.Neighbours}." : "";
            name = $"narrow.{SmallestTokens << tokens}x{form.Features}.{form.Kilobytes}k.{neighbours}k{1 << split}";
        }
        if (isTf32)
            (tile, name) = (typeof(Tf32Tile<>).MakeGenericType(tile), "tf32." + name);
        var of = typeof(HopperVariants).GetMethod(nameof(Of), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(tile, Epilogues[epilogue]);
        return (HopperVariant)of.Invoke(null, [$"linear.hopper.{name}.{EpilogueNames[epilogue]}", isTrial, groupsThatFit])!;
    }

    private static (int Form, int Tokens, int Split) NarrowOf(int shape)
    {
        int narrow = shape - NumWide;
        return (narrow / Splits.Length / Tokens.Length, narrow / Splits.Length % Tokens.Length, narrow % Splits.Length);
    }

    private static Type Constant(int value) => value switch
    {
        1 => typeof(C1),
        2 => typeof(C2),
        56 => typeof(C56),
        64 => typeof(C64),
        75 => typeof(C75),
        112 => typeof(C112),
        128 => typeof(C128),
        192 => typeof(C192),
        256 => typeof(C256),
        _ => throw new ArgumentOutOfRangeException(nameof(value), value, "no such constant"),
    };

    private static HopperVariant Of<TTile, TEpilogue>(string name, bool isTrial, int groupsThatFit)
        where TTile : struct, IHopperTile
        where TEpilogue : struct, IHopperEpilogue
    {
        const int MaxRegistersWide = 168; // three warpgroups' share of 65536; they exchange them later
        // Each of a multiprocessor's four schedulers has its own quarter of the registers, and warps are dealt out whole.
        int warpsThatFit = (groupsThatFit * HopperLinearBody<TTile, TEpilogue>.GroupSize / 32 + 3) / 4 * 4;
        int maxRegistersNarrow = Math.Min(MaxRegistersWide, 65536 / 32 / warpsThatFit / 8 * 8);
        var kernel = GpuKernel.Of(name, typeof(HopperLinearBody<TTile, TEpilogue>), HopperLinearBody<TTile, TEpilogue>.GroupSize) with
        {
            IsCudaOnly = true,
            IsTrial = isTrial,
            Target = "sm_90a",
            MaxRegisters = TTile.IsWide ? MaxRegistersWide : maxRegistersNarrow,
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperLinearBody<TTile, TEpilogue>.SharedBytes,
        };
        return new HopperVariant(
            kernel, TTile.IsWide, TTile.IsWide ? TTile.Columns : HopperLinearBody<TTile, TEpilogue>.RowsA * TTile.Neighbours,
            HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            TTile.HasTail ? HopperLinearBody<TTile, TEpilogue>.TailBoxRows : HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            HopperLinearBody<TTile, TEpilogue>.ActivationBoxRows, TTile.StoresBoxes, HopperBoxStore<TEpilogue>.BoxColumns);
    }
}
