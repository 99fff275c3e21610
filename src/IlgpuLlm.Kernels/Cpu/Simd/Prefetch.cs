using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Asks for memory before it is read. A line that is not there, or lies outside the process, does no harm. On machines other than x86, of which .NET 10 shows
/// no such instruction, nothing is asked for.
/// </summary>
internal static unsafe class Prefetch
{
    /// <summary>Bytes of a cache line.</summary>
    public const int LineLength = 64;

    /// <summary>
    /// How far a stream of weights that is read once asks ahead of itself, in bytes. On an Emerald Rapids one thread reads 17 GB/s of halves so, instead of 10
    /// (8 KiB ahead: 16; into the first-level cache, 1 to 8 KiB ahead: 11 to 14). A Zen 4 has no need of it and lost a seventh: there a stream asks for what it is about to read.
    /// </summary>
    public static readonly nint StreamDistance = IsIntel() ? 16 * 1024 : 0;

    // What was fetched into the second-level cache comes into the first one in time: another 6 % there.
    private static readonly nint SoonDistance = IsIntel() ? 1024 : 0;

    /// <summary>The line at <paramref name="address"/>, into the second-level cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(address);
    }

    /// <summary>The line that a stream which is now at <paramref name="address"/> reads soon, into the first-level cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Soon(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address + SoonDistance);
    }

    /// <summary>Lines of a stream, as many as the <paramref name="byteLength"/> bytes that it reads next at <paramref name="address"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ahead(byte* address, int byteLength)
    {
        for (int i = 0; i < byteLength; i += LineLength)
            Line(address + StreamDistance + i);
    }

    // "GenuineIntel".
    private static bool IsIntel() => X86Base.IsSupported && X86Base.CpuId(0, 0) is { Ebx: 0x756E6547, Edx: 0x49656E69, Ecx: 0x6C65746E };
}
