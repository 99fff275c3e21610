using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Kernels;

/// <summary>Words of two vectors that become one by a shift and a choice of bits: how codes of four bits are transposed without being bytes in between.</summary>
internal static class NibbleVectors
{
    /// <summary>Of each byte the lower four bits, below those of another vector's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> LowNibbles(Vector128<uint> low, Vector128<uint> high) => Vector128.ConditionalSelect(Vector128.Create(0x0F0F0F0Fu), low, high << 4);

    /// <summary>Of each byte the upper four bits, below those of another vector's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> HighNibbles(Vector128<uint> low, Vector128<uint> high) => Vector128.ConditionalSelect(Vector128.Create(0x0F0F0F0Fu), low >>> 4, high);

    /// <summary>Bytes 0 and 2 of a and b by turns, and bytes 1 and 3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Bytes(Vector128<uint> a, Vector128<uint> b, out Vector128<uint> even, out Vector128<uint> odd)
    {
        Vector128<uint> mask = Vector128.Create(0x00FF00FFu);
        even = Vector128.ConditionalSelect(mask, a, b << 8);
        odd = Vector128.ConditionalSelect(mask, a >>> 8, b);
    }

    /// <summary>The lower halves of a and b by turns, and the upper ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Halves(Vector128<uint> a, Vector128<uint> b, out Vector128<uint> low, out Vector128<uint> high)
    {
        Vector128<uint> mask = Vector128.Create(0x0000FFFFu);
        low = Vector128.ConditionalSelect(mask, a, b << 16);
        high = Vector128.ConditionalSelect(mask, a >>> 16, b);
    }
}
