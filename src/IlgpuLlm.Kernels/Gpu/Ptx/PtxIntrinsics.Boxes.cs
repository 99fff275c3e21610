using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Instructions of sm_90 that move boxes of tensor maps from shared to global memory. Addresses in shared memory are words.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>Stores a box in shared memory to (<paramref name="x"/>, <paramref name="y"/>) of a tensor map, without waiting.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];")]
    public static void SendBox(long map, int x, int y, uint shared) => throw Only();

    /// <summary>Adds it to the floats there instead. The second-level cache adds; the order of several additions to one float is not given.</summary>
    [IntrinsicImplementation, Ptx("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%1, %2}], [%3];")]
    public static void AddBox(long map, int x, int y, uint shared) => throw Only();

    /// <summary>Brings a box of a tensor map to the second-level cache, without waiting.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%0, {%1, %2}];")]
    public static void PrefetchBox(long map, int x, int y) => throw Only();

    /// <summary>Closes a group of boxes that this lane sent.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.commit_group;")]
    public static void CommitBoxes() => throw Only();

    /// <summary>Waits until the shared memory of this lane's groups, except the last one, has been read.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.wait_group.read 1;")]
    public static void WaitReadBoxes1() => throw Only();

    /// <summary>Waits until all boxes that this lane sent are stored.</summary>
    [IntrinsicImplementation, Ptx("cp.async.bulk.wait_group 0;")]
    public static void WaitSentBoxes() => throw Only();

    /// <summary>Makes this lane's writes to shared memory known to the copy engine.</summary>
    [IntrinsicImplementation, Ptx("fence.proxy.async.shared::cta;")]
    public static void FenceCopies() => throw Only();

    /// <summary>Waits for all lanes of the warp; what they wrote before is visible.</summary>
    [IntrinsicImplementation, Ptx("bar.warp.sync 0xffffffff;")]
    public static void MeetWarp() => throw Only();

    /// <summary>Stores two floats to this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("st.shared.v2.f32 [%0], {%1,%2};")]
    public static void StoreShared2(uint shared, Float2 values) => throw Only();

    /// <summary>Stores four 8x8 matrices of halves as mma leaves them; lane l gives the address of row l % 8 of matrix l / 8.</summary>
    [IntrinsicImplementation, Ptx("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};")]
    public static void StoreMatrices4(uint shared, UInt4 words) => throw Only();

    /// <summary>The same, each matrix transposed: lane l gives the address of column l % 8.</summary>
    [IntrinsicImplementation, Ptx("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};")]
    public static void StoreTransposedMatrices4(uint shared, UInt4 words) => throw Only();

    /// <summary>Stores a float to this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("st.shared.f32 [%0], %1;")]
    public static void StoreShared1(uint shared, float value) => PtxEmulation.StoreShared(shared, value);

    /// <summary>Loads a float of device memory.</summary>
    [IntrinsicImplementation, Ptx("ld.global.f32 $0, [%0];")]
    public static float LoadGlobal1(long global) => throw Only();
}
