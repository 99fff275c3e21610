using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Instructions of sm_90: barriers in shared memory, copies by the tensor memory accelerator (TMA), clusters. Addresses in shared memory are words.</summary>
internal static partial class PtxIntrinsics
{
    /// <summary>The value itself, computed here: ILGPU moves what has no effect to where it is used, also into a loop.</summary>
    [IntrinsicImplementation, Ptx("mov.b32 $0, %0;")]
    public static int Here(int value) => value;

    /// <summary>The number of this group in its cluster.</summary>
    [IntrinsicImplementation, Ptx("mov.u32 $0, %cluster_ctarank;")]
    public static int ClusterRank() => throw Only();

    /// <summary>The number of groups in a cluster.</summary>
    [IntrinsicImplementation, Ptx("mov.u32 $0, %cluster_nctarank;")]
    public static int ClusterSize() => throw Only();

    /// <summary>The number of this cluster in the grid's first dimension.</summary>
    [IntrinsicImplementation, Ptx("mov.u32 $0, %clusterid.x;")]
    public static int ClusterIndex() => throw Only();

    /// <summary>The number of clusters in the grid's first dimension.</summary>
    [IntrinsicImplementation, Ptx("mov.u32 $0, %nclusterid.x;")]
    public static int NumClusters() => throw Only();

    /// <summary>Makes a barrier whose phase ends after so many arrivals and all expected bytes.</summary>
    [IntrinsicImplementation, Ptx("mbarrier.init.shared::cta.b64 [%0], %1;")]
    public static void InitBarrier(uint barrier, int arrivals) => throw Only();

    /// <summary>Makes new barriers known to the copy engine and the cluster.</summary>
    [IntrinsicImplementation, Ptx("fence.mbarrier_init.release.cluster;")]
    public static void FenceBarriers() => throw Only();

    /// <summary>Waits until the phase of this parity has ended. A new barrier is in its phase of parity 0.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; WAIT: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE; bra WAIT; DONE: }")]
    public static void WaitBarrier(uint barrier, int parity) => throw Only();

    /// <summary>Arrives at a barrier of this group.</summary>
    [IntrinsicImplementation, Ptx("mbarrier.arrive.shared::cta.b64 _, [%0];")]
    public static void ArriveBarrier(uint barrier) => throw Only();

    /// <summary>
    /// Arrives at the barrier at this address in the group <paramref name="rank"/> of the cluster. Says that this lane has read, not that it has written:
    /// releasing to the whole cluster would wait for all its stores.
    /// </summary>
    [IntrinsicImplementation, Ptx("{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [remote]; }")]
    public static void ArriveBarrier(uint barrier, int rank) => throw Only();

    /// <summary>Arrives at a barrier and tells it how many bytes copies will bring before its phase ends.</summary>
    [IntrinsicImplementation, Ptx("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;")]
    public static void ExpectBytes(uint barrier, int bytes) => throw Only();

    /// <summary>Copies the box of a tensor map at (<paramref name="x"/>, <paramref name="y"/>) to shared memory and tells the barrier.</summary>
    [IntrinsicImplementation, Ptx(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];")]
    public static void CopyBox(uint shared, long map, int x, int y, uint barrier) => throw Only();

    /// <summary>Fetches a tensor map into the copy engine's cache.</summary>
    [IntrinsicImplementation, Ptx("prefetch.tensormap [%0];")]
    public static void PrefetchMap(long map) => throw Only();

    /// <summary>
    /// Copies a box to the same address in every group of the cluster whose bit is set in <paramref name="groups"/>; each one's own barrier is told.
    /// </summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .b16 mask; cvt.u16.u32 mask, %5; cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster " +
        "[%0], [%1, {%2, %3}], [%4], mask; }")]
    public static void CopyBoxToCluster(uint shared, long map, int x, int y, uint barrier, int groups) => throw Only();

    /// <summary>Waits for all lanes of the cluster, and for nothing that they wrote but new barriers after <see cref="FenceBarriers"/>.</summary>
    [IntrinsicImplementation, Ptx("barrier.cluster.arrive.relaxed; barrier.cluster.wait.acquire;")]
    public static void MeetCluster() => throw Only();

    /// <summary>Waits for all lanes of the cluster; what they wrote to shared memory before is visible.</summary>
    [IntrinsicImplementation, Ptx("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;")]
    public static void ClusterBarrier() => throw Only();

    /// <summary>
    /// The first half of <see cref="MeetCluster"/>: tells all lanes of the cluster that this one came here. Nobody waits for lanes that have ended.
    /// </summary>
    [IntrinsicImplementation, Ptx("barrier.cluster.arrive.relaxed;")]
    public static void ArriveCluster() => throw Only();

    /// <summary>The second half: waits until all of them did.</summary>
    [IntrinsicImplementation, Ptx("barrier.cluster.wait.acquire;")]
    public static void WaitCluster() => throw Only();

    /// <summary>As <see cref="WaitBarrier"/>, for what other groups of the cluster sent: it is visible then.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .pred p; WAIT: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], %1; @p bra DONE; bra WAIT; DONE: }")]
    public static void WaitBarrierOfCluster(uint barrier, int parity) => throw Only();

    /// <summary>
    /// Stores to this address in the group <paramref name="rank"/> of the cluster, without waiting, and tells the barrier at this address there that the bytes
    /// came. This group may end meanwhile, that one not.
    /// </summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .b32 to, bar; mapa.shared::cluster.u32 to, %0, %6; mapa.shared::cluster.u32 bar, %5, %6; " +
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [to], {%1,%2,%3,%4}, [bar]; }")]
    public static void SendShared4(uint shared, Float4 values, uint barrier, int rank) => throw Only();

    /// <summary>The same of two floats.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .b32 to, bar; mapa.shared::cluster.u32 to, %0, %4; mapa.shared::cluster.u32 bar, %3, %4; " +
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [to], {%1,%2}, [bar]; }")]
    public static void SendShared2(uint shared, Float2 values, uint barrier, int rank) => throw Only();

    /// <summary>Waits for the first <paramref name="lanes"/> lanes of the group only, a multiple of 32.</summary>
    [IntrinsicImplementation, Ptx("barrier.sync 1, %0;")]
    public static void PartialBarrier(int lanes) => throw Only();

    /// <summary>Loads from the shared memory of the group <paramref name="rank"/> of the cluster.</summary>
    [IntrinsicImplementation, Ptx(
        "{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; ld.shared::cluster.v4.f32 {$0,$1,$2,$3}, [remote]; }")]
    public static Float4 LoadShared4(uint shared, int rank) => throw Only();

    /// <summary>Loads from this group's shared memory.</summary>
    [IntrinsicImplementation, Ptx("ld.shared.v4.f32 {$0,$1,$2,$3}, [%0];")]
    public static Float4 LoadShared4(uint shared) => PtxEmulation.LoadShared4(shared);

    /// <summary>Warpgroups of a kernel with a fixed number of registers give some back: 40 a lane remain.</summary>
    [IntrinsicImplementation, Ptx("setmaxnreg.dec.sync.aligned.u32 40;")]
    public static void KeepRegisters40() => throw Only();

    /// <summary>And others take them: 232 a lane.</summary>
    [IntrinsicImplementation, Ptx("setmaxnreg.inc.sync.aligned.u32 232;")]
    public static void TakeRegisters232() => throw Only();

    /// <summary>Loads four floats from global memory.</summary>
    [IntrinsicImplementation, Ptx("ld.global.v4.f32 {$0,$1,$2,$3}, [%0];")]
    public static Float4 LoadGlobal4(long global) => throw Only();

    /// <summary>Stores four floats to global memory.</summary>
    [IntrinsicImplementation, Ptx("st.global.v4.f32 [%0], {%1,%2,%3,%4};")]
    public static void StoreGlobal4(long global, Float4 values) => throw Only();

    /// <summary>Stores four words to global memory.</summary>
    [IntrinsicImplementation, Ptx("st.global.v4.b32 [%0], {%1,%2,%3,%4};")]
    public static void StoreGlobal4(long global, UInt4 values) => throw Only();

    /// <summary>Loads two floats from global memory.</summary>
    [IntrinsicImplementation, Ptx("ld.global.v2.f32 {$0,$1}, [%0];")]
    public static Float2 LoadGlobal2(long global) => throw Only();

    /// <summary>Stores two floats to global memory.</summary>
    [IntrinsicImplementation, Ptx("st.global.v2.f32 [%0], {%1,%2};")]
    public static void StoreGlobal2(long global, Float2 values) => throw Only();

    /// <summary>1 / x within 1 ulp; results below 2^-126 are 0.</summary>
    [IntrinsicImplementation, Ptx("rcp.approx.ftz.f32 $0, %0;")]
    public static float Reciprocal(float x) => throw Only();
}
