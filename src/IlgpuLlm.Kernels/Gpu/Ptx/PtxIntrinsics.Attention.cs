using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>What attention on tensor cores needs.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Loads four 8x8 matrices of halves and transposes each; lane l gives the address of row l % 8 of matrix l / 8.</summary>
    [IntrinsicImplementation, Ptx("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {$0,$1,$2,$3}, [%0];")]
    public static UInt4 LoadMatrices4Transposed(uint shared) => PtxEmulation.LoadMatrices4(shared, isTransposed: true);

    /// <summary>Copies the first <paramref name="bytes"/> of 16 bytes from global to shared memory and makes the others zero; with 0 nothing is read.</summary>
    [IntrinsicImplementation, Ptx("cp.async.cg.shared.global [%0], [%1], 16, %2;")]
    public static void CopyAsync16OrZero(uint shared, long global, int bytes) => PtxEmulation.Copy16(shared, global, bytes);

    /// <summary>Waits until all of this lane's copies have ended.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_all;")]
    public static void WaitAllCopies()
    {
    }

    /// <summary>Has the warp's lanes meet. The compiler moves no loads across it: without it, it requests more than registers can hold.</summary>
    [IntrinsicImplementation, Ptx("bar.warp.sync 0xffffffff;")]
    public static void SyncWarp() => ILGPU.Warp.Barrier();

    /// <summary>2^x within 2 ulp; exactly 1 at 0 and 0 at negative infinity.</summary>
    [IntrinsicImplementation, Ptx("ex2.approx.ftz.f32 $0, %0;")]
    public static float Exp2(float x) => MathF.Pow(2f, x);

    /// <summary>16 bytes of global memory that nobody writes meanwhile and that are read once; zeros where <paramref name="isValid"/> is 0.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.b32 $0, 0; mov.b32 $1, 0; mov.b32 $2, 0; mov.b32 $3, 0; " +
        "@p ld.global.nc.L1::no_allocate.v4.u32 {$0,$1,$2,$3}, [%0]; }")]
    public static UInt4 LoadOnce16OrZero(long global, int isValid) => PtxEmulation.Load16(global, isValid);

    /// <summary>The same of 8 bytes.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.b32 $0, 0; mov.b32 $1, 0; @p ld.global.nc.L1::no_allocate.v2.u32 {$0,$1}, [%0]; }")]
    public static UInt2 LoadOnce8OrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.Load8(global) : default;

    /// <summary>The same of a float.</summary>
    [IntrinsicImplementation, Ptx("{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.f32 $0, 0f00000000; @p ld.global.nc.f32 $0, [%0]; }")]
    public static float LoadFloatOrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.LoadFloat(global) : 0f;

    /// <summary>
    /// As <see cref="LoadOnce16OrZero"/>, but requested in front of a <see cref="SyncWarp"/> or <see cref="WaitForDependencies"/> that stands behind it: those
    /// the compiler moves behind them.
    /// </summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.b32 $0, 0; mov.b32 $1, 0; mov.b32 $2, 0; mov.b32 $3, 0; " +
        "@p ld.global.L1::no_allocate.v4.u32 {$0,$1,$2,$3}, [%0]; }")]
    public static UInt4 LoadAhead16OrZero(long global, int isValid) => PtxEmulation.Load16(global, isValid);

    /// <summary>The same of 8 bytes.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.b32 $0, 0; mov.b32 $1, 0; @p ld.global.L1::no_allocate.v2.u32 {$0,$1}, [%0]; }")]
    public static UInt2 LoadAhead8OrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.Load8(global) : default;

    /// <summary>The same of a float.</summary>
    [IntrinsicImplementation, Ptx("{ .reg .pred p; setp.ne.s32 p, %1, 0; mov.f32 $0, 0f00000000; @p ld.global.f32 $0, [%0]; }")]
    public static float LoadFloatAheadOrZero(long global, int isValid) => isValid != 0 ? PtxEmulation.LoadFloat(global) : 0f;

    /// <summary>The lower halves of two words: a's, then b's.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, %1, 0x5410;")]
    public static uint LowHalves(uint a, uint b) => (a & 0xFFFF) | (b << 16);

    /// <summary>The upper halves of two words: a's, then b's.</summary>
    [IntrinsicImplementation, Ptx("prmt.b32 $0, %0, %1, 0x7632;")]
    public static uint HighHalves(uint a, uint b) => (a >> 16) | (b & 0xFFFF0000);

    /// <summary>Four floats that another multiprocessor wrote during this kernel: past the first-level cache, which may hold older ones.</summary>
    [IntrinsicImplementation, Ptx("ld.global.cg.v4.f32 {$0,$1,$2,$3}, [%0];")]
    public static Float4 LoadFromOthers4(long global) => PtxEmulation.LoadFloat4(global);

    /// <summary>Two floats, likewise.</summary>
    [IntrinsicImplementation, Ptx("ld.global.cg.v2.f32 {$0,$1}, [%0];")]
    public static Float2 LoadFromOthers2(long global) => PtxEmulation.LoadFloat2(global);

    /// <summary>
    /// What this lane wrote before, and others before a barrier that it passed, is seen by who sees what it writes behind, in front of a fence of theirs. Lighter
    /// than <see cref="ILGPU.MemoryFence.DeviceLevel"/>, which orders all fences of the device.
    /// </summary>
    [IntrinsicImplementation, Ptx("fence.acq_rel.gpu;")]
    public static void FenceDevice() => ILGPU.MemoryFence.DeviceLevel();

    /// <summary>a * b, rounded: also where a sum follows.</summary>
    [IntrinsicImplementation, Ptx("mul.rn.f32 $0, %0, %1;")]
    public static float Multiply(float a, float b) => a * b;

    /// <summary>Brings 128 bytes of global memory to the second-level cache, without waiting; nothing where <paramref name="isValid"/> is 0.</summary>
    [IntrinsicImplementation, Ptx("{ .reg .pred p; setp.ne.s32 p, %1, 0; @p prefetch.global.L2 [%0]; }")]
    public static void PrefetchLine(long global, int isValid)
    {
    }

    /// <summary>a * b + c, rounded once.</summary>
    [IntrinsicImplementation, Ptx("fma.rn.f32 $0, %0, %1, %2;")]
    public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);
}
