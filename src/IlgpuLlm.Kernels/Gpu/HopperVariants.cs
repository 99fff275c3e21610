using System.Reflection;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A kernel of <see cref="HopperLinearKernel"/> and what its launch must know.</summary>
internal sealed record HopperVariant(
    GpuKernel Kernel, bool IsWide, int Features, int WeightBoxRows, int TailBoxRows, int ActivationBoxRows, int OutputBoxColumns);

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

/// <summary>How narrow tiles are made.</summary>
/// <param name="Features">Features a group.</param>
/// <param name="Kilobytes">The shared memory that a group may take: 112: two groups a multiprocessor, 75: three.</param>
internal sealed record NarrowForm(int Features, int Kilobytes)
{
    /// <summary>Groups that fit a multiprocessor, with the kilobyte that each takes beside.</summary>
    public int GroupsThatFit => 228 / (Kilobytes + 1);
}

/// <summary>All variants, found by arithmetic.</summary>
/// <param name="isTf32">Whether operands are floats.</param>
internal sealed class HopperVariants(bool isTf32)
{
    private const int SmallestTokens = 8;

    // In the order of LinearEpilogue.
    private static readonly Type[] Epilogues = [typeof(HalvesEpilogue), typeof(FloatsEpilogue), typeof(ResidualEpilogue), typeof(GateUpEpilogue)];
    private static readonly string[] EpilogueNames = ["halves", "floats", "residual", "gate-up"];
    private static readonly Type[] Tokens = [typeof(C8), typeof(C16), typeof(C32), typeof(C64), typeof(C128)];
    private static readonly Type[] Splits = [typeof(C1), typeof(C2), typeof(C4), typeof(C8)];

    /// <summary>The wide tiles.</summary>
    public static readonly WideTileForm[] WideTiles =
    [
        new(256, 2, 64), new(256, 2, 128), new(256, 1, 64), new(256, 1, 128), new(192, 2, 64), new(192, 1, 64), new(128, 2, 64), new(128, 1, 64), new(64, 1, 64),
    ];

    private readonly HopperVariant?[] _variants = new HopperVariant?[(WideTiles.Length + Tokens.Length * Splits.Length) * Epilogues.Length];

    /// <summary>Number of variants.</summary>
    public int Count => _variants.Length;

    /// <summary>A variant; made when first asked for.</summary>
    public HopperVariant this[int index] => _variants[index] ??= Create(index);

    /// <summary>The tile of a variant that <see cref="Wide"/> returned.</summary>
    public static int WideTileOf(int index) => index / Epilogues.Length;

    /// <summary>The epilogue of a variant.</summary>
    public static LinearEpilogue EpilogueOf(int index) => (LinearEpilogue)(index % Epilogues.Length);

    /// <summary>A wide variant.</summary>
    /// <param name="tile">Index into <see cref="WideTiles"/>.</param>
    /// <param name="epilogue">What becomes of the sums.</param>
    public static int Wide(int tile, LinearEpilogue epilogue) => tile * Epilogues.Length + (int)epilogue;

    /// <summary>A narrow variant.</summary>
    /// <param name="numRows">Rows.</param>
    /// <param name="split">Groups that share the k of a tile: all that the bits of a result depend on.</param>
    /// <param name="epilogue">What becomes of the sums.</param>
    public static int Narrow(int numRows, int split, LinearEpilogue epilogue)
    {
        int tokens = 0;
        while (SmallestTokens << tokens < numRows)
            tokens++;
        return (WideTiles.Length + tokens * Splits.Length + System.Numerics.BitOperations.Log2((uint)split)) * Epilogues.Length + (int)epilogue;
    }

    /// <summary>
    /// Measured. Where groups share k there are just as many as the device takes at a time: smaller ones leave room for the next launch's, whose weights are
    /// then on their way. With many tokens, activations must be read less often.
    /// </summary>
    private static NarrowForm FormOf(int tokens, int split) =>
        tokens > 64 || (tokens == 64 && split == 1) ? new(128, 112) : split > 1 ? new(64, 75) : new(64, 112);

    private HopperVariant Create(int index)
    {
        int epilogue = index % Epilogues.Length, shape = index / Epilogues.Length;
        Type tile;
        string name;
        int groupsThatFit = 1;
        if (shape < WideTiles.Length)
        {
            var form = WideTiles[shape];
            tile = typeof(WideTile<,,>).MakeGenericType(Constant(form.Features), Constant(form.Cluster), Constant(form.Tail));
            name = $"wide.{form.Features}.{form.Tail}.c{form.Cluster}";
        }
        else
        {
            int tokens = (shape - WideTiles.Length) / Splits.Length, split = (shape - WideTiles.Length) % Splits.Length;
            var form = FormOf(SmallestTokens << tokens, 1 << split);
            groupsThatFit = form.GroupsThatFit;
            tile = typeof(NarrowTile<,,,>).MakeGenericType(Tokens[tokens], Constant(form.Features), Constant(form.Kilobytes), Splits[split]);
            name = $"narrow.{SmallestTokens << tokens}x{form.Features}.{form.Kilobytes}k.k{1 << split}";
        }
        if (isTf32)
            (tile, name) = (typeof(Tf32Tile<>).MakeGenericType(tile), "tf32." + name);
        var of = typeof(HopperVariants).GetMethod(nameof(Of), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(tile, Epilogues[epilogue]);
        return (HopperVariant)of.Invoke(null, [$"linear.hopper.{name}.{EpilogueNames[epilogue]}", groupsThatFit])!;
    }

    private static Type Constant(int value) => value switch
    {
        1 => typeof(C1),
        2 => typeof(C2),
        64 => typeof(C64),
        75 => typeof(C75),
        112 => typeof(C112),
        128 => typeof(C128),
        192 => typeof(C192),
        256 => typeof(C256),
        _ => throw new ArgumentOutOfRangeException(nameof(value), value, "no such constant"),
    };

    private static HopperVariant Of<TTile, TEpilogue>(string name, int groupsThatFit)
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
            Target = "sm_90a",
            MaxRegisters = TTile.IsWide ? MaxRegistersWide : maxRegistersNarrow,
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperLinearBody<TTile, TEpilogue>.SharedBytes,
        };
        return new HopperVariant(
            kernel, TTile.IsWide, TTile.IsWide ? TTile.Columns : HopperLinearBody<TTile, TEpilogue>.RowsA,
            HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            TTile.HasTail ? HopperLinearBody<TTile, TEpilogue>.TailBoxRows : HopperLinearBody<TTile, TEpilogue>.WeightBoxRows,
            HopperLinearBody<TTile, TEpilogue>.ActivationBoxRows, HopperBoxStore<TEpilogue>.BoxColumns);
    }
}
