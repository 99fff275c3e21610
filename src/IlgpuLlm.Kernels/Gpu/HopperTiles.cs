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

internal readonly struct C128 : IConstant
{
    public static int Value => 128;
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

    /// <summary>Whether the tiles that do not fill a last round of all groups are divided into quarters of 64 features. Wide only.</summary>
    static abstract bool HasTail { get; }

    /// <summary>Warpgroups that multiply.</summary>
    static abstract int Consumers { get; }

    /// <summary>Bytes of shared memory that a group may take.</summary>
    static abstract int SharedBytes { get; }

    /// <summary>Groups in a cluster. Wide: they share a tile of weights and make different tokens. Narrow: they share the k of one tile.</summary>
    static abstract int ClusterSize { get; }
}

/// <summary>128 tokens and 64, 128 or 256 features a group, one group a multiprocessor.</summary>
internal readonly struct WideTile<TFeatures, TCluster> : IHopperTile
    where TFeatures : struct, IConstant
    where TCluster : struct, IConstant
{
    public static bool IsWide => true;

    public static bool HasTail => TFeatures.Value == 256;

    public static int Columns => TFeatures.Value;

    public static int Consumers => 2;

    public static int SharedBytes => 227 * 1024;

    public static int ClusterSize => TCluster.Value;
}

/// <summary>
/// 8 to 128 tokens and 64 features a group, from 64 tokens on 128 features, lest activations take more of the L2 cache's bandwidth than weights do. Two
/// groups fit a multiprocessor: of one kernel, or of this one and the next.
/// </summary>
internal readonly struct NarrowTile<TTokens, TSplit> : IHopperTile
    where TTokens : struct, IConstant
    where TSplit : struct, IConstant
{
    public static bool IsWide => false;

    public static bool HasTail => false;

    public static int Columns => TTokens.Value;

    public static int Consumers => TTokens.Value < 64 ? 1 : 2;

    public static int SharedBytes => 112 * 1024;

    public static int ClusterSize => TSplit.Value;
}
