using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What products of floats need.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Rounds a float, given by its bits, to TF32: 10 bits of mantissa, ties away from zero.</summary>
    [IntrinsicImplementation, Ptx("cvt.rna.tf32.f32 $0, %0;")]
    public static uint RoundToTf32(uint bits) => (bits + 0x1000) & 0xFFFFE000;

    /// <summary>c + a b on a tensor core: a [16, 8] TF32, b [8, 8] TF32, c [16, 8] floats, spread over a warp.</summary>
    [IntrinsicImplementation, Ptx("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {$0,$1,$2,$3}, {%0,%1,%2,%3}, {%4,%5}, {%6,%7,%8,%9};")]
    public static Float4 MultiplyAdd16x8x8(UInt4 a, UInt2 b, Float4 c) => PtxEmulation.MultiplyAdd16x8x8(a, b, c);

    /// <summary>As <see cref="LoadOnce16OrZero"/>, of floats.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.f32 $0, 0f00000000; mov.f32 $1, 0f00000000; mov.f32 $2, 0f00000000; mov.f32 $3, 0f00000000; " +
        "@p ld.global.nc.L1::no_allocate.v4.f32 {$0,$1,$2,$3}, [%0]; }")]
    public static Float4 LoadFloatsOnceOrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.LoadFloat4(global) : default;

    /// <summary>Loads two floats from this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("ld.shared.v2.f32 {$0,$1}, [%0];")]
    public static Float2 LoadShared2(uint shared) => PtxEmulation.LoadShared2(shared);

    /// <summary>Stores four floats to this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("st.shared.v4.f32 [%0], {%1,%2,%3,%4};")]
    public static void StoreShared4(uint shared, Float4 values) => PtxEmulation.StoreShared(shared, values);

    /// <summary>Waits until at most four groups of copies are under way.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_group 4;")]
    public static void WaitCopies4()
    {
    }
}
