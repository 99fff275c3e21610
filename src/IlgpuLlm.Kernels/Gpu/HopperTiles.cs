using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A number as a type, for kernels' type parameters.</summary>
internal interface IConstant
{
    static abstract int Value { get; }
}

internal readonly struct C1 : IConstant
{
    public static int Value => 1;
}

internal readonly struct C2 : IConstant
{
    public static int Value => 2;
}

internal readonly struct C4 : IConstant
{
    public static int Value => 4;
}

internal readonly struct C8 : IConstant
{
    public static int Value => 8;
}

internal readonly struct C16 : IConstant
{
    public static int Value => 16;
}

internal readonly struct C32 : IConstant
{
    public static int Value => 32;
}

internal readonly struct C64 : IConstant
{
    public static int Value => 64;
}

internal readonly struct C75 : IConstant
{
    public static int Value => 75;
}

internal readonly struct C112 : IConstant
{
    public static int Value => 112;
}

internal readonly struct C128 : IConstant
{
    public static int Value => 128;
}

internal readonly struct C192 : IConstant
{
    public static int Value => 192;
}

internal readonly struct C256 : IConstant
{
    public static int Value => 256;
}

/// <summary>
/// How <see cref="HopperLinearBody{TTile, TEpilogue}"/> divides a product. Operand A of wgmma has 64 rows a consumer, operand B has
/// <see cref="IWgmmaShape.Columns"/> rows.
/// </summary>
internal interface IHopperTile : IWgmmaShape
{
    /// <summary>Wide: A is activations and B weights, groups stay and take tile after tile. Narrow: A is weights and B activations, a tile a cluster.</summary>
    static abstract bool IsWide { get; }

    /// <summary>Whether the tiles that do not fill a last round of all groups are divided into parts. Wide only.</summary>
    static abstract bool HasTail { get; }

    /// <summary>Features of such a part.</summary>
    static abstract int TailColumns { get; }

    /// <summary>Warpgroups that multiply.</summary>
    static abstract int Consumers { get; }

    /// <summary>Bytes of shared memory that a group may take.</summary>
    static abstract int SharedBytes { get; }

    /// <summary>Groups in a cluster. Wide: they share a tile of weights and make different tokens. Narrow: they share the k of one tile.</summary>
    static abstract int ClusterSize { get; }
}

/// <summary>128 tokens and 64 to 256 features a group, one group a multiprocessor; or, where A is codes of weights, 128 features and so many tokens.</summary>
internal readonly struct WideTile<TFeatures, TCluster, TTail> : IHopperTile
    where TFeatures : struct, IConstant
    where TCluster : struct, IConstant
    where TTail : struct, IConstant
{
    public static bool IsWide => true;

    public static bool HasTail => TTail.Value < TFeatures.Value;

    public static int TailColumns => TTail.Value;

    public static int Columns => TFeatures.Value;

    public static bool IsTf32 => false;

    public static int Consumers => 2;

    public static int SharedBytes => 227 * 1024;

    public static int ClusterSize => TCluster.Value;
}

/// <summary>
/// 8 to 128 tokens and 64 or 128 features a group: with more tokens, activations take more of the second-level cache's bandwidth than weights do, unless
/// features share them. Several groups fit a multiprocessor: of one kernel, or of this one and the next, whose weights are then on their way before
/// this one has ended.
/// </summary>
internal readonly struct NarrowTile<TTokens, TFeatures, TKilobytes, TSplit> : IHopperTile
    where TTokens : struct, IConstant
    where TFeatures : struct, IConstant
    where TKilobytes : struct, IConstant
    where TSplit : struct, IConstant
{
    public static bool IsWide => false;

    public static bool HasTail => false;

    public static int TailColumns => Columns;

    public static int Columns => TTokens.Value;

    public static int Consumers => TFeatures.Value / 64;

    public static bool IsTf32 => false;

    public static int SharedBytes => TKilobytes.Value * 1024;

    public static int ClusterSize => TSplit.Value;
}

/// <summary>A tile whose operands are floats, rounded towards zero to TF32. Whatever counts elements of k counts halves, two a float.</summary>
internal readonly struct Tf32Tile<T> : IHopperTile
    where T : struct, IHopperTile
{
    public static bool IsWide => T.IsWide;

    public static bool HasTail => T.HasTail;

    public static int TailColumns => T.TailColumns;

    public static int Columns => T.Columns;

    public static bool IsTf32 => true;

    public static int Consumers => T.Consumers;

    public static int SharedBytes => T.SharedBytes;

    public static int ClusterSize => T.ClusterSize;
}
