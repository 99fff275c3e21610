using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What products of quantized weights need: words are pairs of halves.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>a - b, each half rounded once.</summary>
    [IntrinsicImplementation, Ptx("sub.rn.f16x2 $0, %0, %1;")]
    public static uint SubtractHalves(uint a, uint b) => PtxEmulation.OnHalves(a, b, 0, static (x, y, _) => x - y);

    /// <summary>a * b, each half rounded once.</summary>
    [IntrinsicImplementation, Ptx("mul.rn.f16x2 $0, %0, %1;")]
    public static uint MultiplyHalves(uint a, uint b) => PtxEmulation.OnHalves(a, b, 0, static (x, y, _) => x * y);

    /// <summary>a * b + c, each half rounded once.</summary>
    [IntrinsicImplementation, Ptx("fma.rn.f16x2 $0, %0, %1, %2;")]
    public static uint MultiplyAddHalves(uint a, uint b, uint c) => PtxEmulation.OnHalves(a, b, c, static (x, y, z) => x * y + z);

    /// <summary>The halves 1024 + byte of the two lower bytes of a word.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, 0x64646464, 0x4140;")]
    public static uint LowBytes(uint word) => 0x64006400 | (word & 0xFF) | ((word & 0xFF00) << 8);

    /// <summary>The halves 1024 + byte of the two upper bytes of a word.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, 0x64646464, 0x4342;")]
    public static uint HighBytes(uint word) => LowBytes(word >> 16);

    /// <summary>As <see cref="LoadOnce16OrZero"/>, 8 bytes, which neighbours read again.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.b32 $0, 0; mov.b32 $1, 0; @p ld.global.nc.v2.u32 {$0,$1}, [%0]; }")]
    public static UInt2 LoadWeights8OrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.Load8(global) : default;
}
