using System.Collections.Frozen;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>The type of a safetensors tensor's elements.</summary>
/// <param name="Name">The spelling in the file: <c>BF16</c>.</param>
/// <param name="Bits">The bits of one element.</param>
internal sealed record TensorType(string Name, int Bits)
{
    public static readonly TensorType F32 = new("F32", 32);
    public static readonly TensorType F16 = new("F16", 16);
    public static readonly TensorType BF16 = new("BF16", 16);
    public static readonly TensorType I32 = new("I32", 32);

    private static readonly FrozenDictionary<string, TensorType> All = new TensorType[]
    {
        F32, F16, BF16, I32,
        new("BOOL", 8), new("U8", 8), new("I8", 8), new("U16", 16), new("I16", 16), new("U32", 32), new("U64", 64), new("I64", 64),
        new("F64", 64), new("C64", 64), new("F8_E4M3", 8), new("F8_E5M2", 8), new("F8_E8M0", 8), new("F8_E4M3FNUZ", 8), new("F8_E5M2FNUZ", 8),
        new("F6_E2M3", 6), new("F6_E3M2", 6), new("F4", 4),
    }.ToFrozenDictionary(type => type.Name);

    /// <summary>All spellings, for messages.</summary>
    public static string Names { get; } = string.Join(", ", All.Keys.Order(StringComparer.Ordinal));

    /// <summary>The type of this spelling; null where there is none.</summary>
    public static TensorType? Find(string name) => All.GetValueOrDefault(name);

    /// <summary>The backend's type, where these are elements that weights can be loaded from; null otherwise.</summary>
    public ElementType? AsWeight() =>
        this == F32 ? ElementType.F32
        : this == F16 ? ElementType.F16
        : this == BF16 ? ElementType.BF16
        : null;
}
