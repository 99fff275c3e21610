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

    /// <summary>(word AND mask) OR bits, in one instruction also where both are constants.</summary>
    [IntrinsicImplementation, Ptx("lop3.b32 $0, %0, %1, %2, 0xEA;")]
    public static uint MaskAndSet(uint word, uint mask, uint bits) => (word & mask) | bits;

    /// <summary>The halves 1024 + byte of the two lower bytes of a word.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, 0x64646464, 0x4140;")]
    public static uint LowBytes(uint word) => 0x64006400 | (word & 0xFF) | ((word & 0xFF00) << 8);

    /// <summary>The halves 1024 + byte of the two upper bytes of a word.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, 0x64646464, 0x4342;")]
    public static uint HighBytes(uint word) => LowBytes(word >> 16);

    /// <summary>Loads 16 bytes from this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("ld.shared.v4.b32 {$0,$1,$2,$3}, [%0];")]
    public static UInt4 LoadShared16(uint shared) => throw Only();

    /// <summary>Loads 8 bytes from this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("ld.shared.v2.b32 {$0,$1}, [%0];")]
    public static UInt2 LoadShared8(uint shared) => throw Only();

    /// <summary>Copies so many bytes, a multiple of 16, to this group's shared memory and tells the barrier.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];")]
    public static void CopyBytes(uint shared, long global, int bytes, uint barrier) => throw Only();

    /// <summary>16 bytes of global memory that nobody writes meanwhile and that are read once.</summary>
    [IntrinsicImplementation, Ptx("ld.global.nc.L1::no_allocate.v4.u32 {$0,$1,$2,$3}, [%0];")]
    public static UInt4 LoadOnce16(long global) => PtxEmulation.Load16(global, isValid: 1);

    /// <summary>8 bytes of global memory that nobody writes meanwhile, which neighbours read again.</summary>
    [IntrinsicImplementation, Ptx("ld.global.nc.v2.u32 {$0,$1}, [%0];")]
    public static UInt2 LoadWeights8(long global) => PtxEmulation.Load8(global);
}
