using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Two words.</summary>
internal struct UInt2
{
    public uint X, Y;
}

/// <summary>
/// Instructions that C# has no word for. Those with a C# body that computes the same work on every accelerator; kernels that use others are loaded on CUDA
/// devices alone, and are tested there against the portable kernels.
/// </summary>
internal static partial class PtxIntrinsics
{
    /// <summary>The address of a shared-memory element in the shared window.</summary>
    [IntrinsicImplementation, Ptx("cvt.u32.u64 $0, %0;")]
    public static uint SharedAddress<T>(ref T element)
        where T : unmanaged => PtxEmulation.SharedAddress(ref element);

    /// <summary>Copies 16 bytes from global to shared memory, past the first-level cache, without waiting.</summary>
    [IntrinsicImplementation, Ptx("cp.async.cg.shared.global [%0], [%1], 16;")]
    public static void CopyAsync16(uint shared, long global) => PtxEmulation.Copy16(shared, global, 16);

    /// <summary>Closes a group of copies.</summary>
    [IntrinsicImplementation, Ptx("cp.async.commit_group;")]
    public static void CommitCopies()
    {
    }

    /// <summary>Waits until at most one group of copies is under way.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_group 1;")]
    public static void WaitCopies1()
    {
    }

    /// <summary>Waits until at most two groups of copies are under way.</summary>
    [IntrinsicImplementation, Ptx("cp.async.wait_group 2;")]
    public static void WaitCopies2()
    {
    }

    /// <summary>Loads four 8x8 matrices of halves; lane l gives the address of row l % 8 of matrix l / 8.</summary>
    [IntrinsicImplementation, Ptx("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {$0,$1,$2,$3}, [%0];")]
    public static UInt4 LoadMatrices4(uint shared) => PtxEmulation.LoadMatrices4(shared, isTransposed: false);

    /// <summary>c + a b on a tensor core: a [16, 16] halves, b [16, 8] halves, c [16, 8] floats, spread over a warp.</summary>
    [IntrinsicImplementation, Ptx("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {$0,$1,$2,$3}, {%0,%1,%2,%3}, {%4,%5}, {%6,%7,%8,%9};")]
    public static Float4 MultiplyAdd16x8x16(UInt4 a, UInt2 b, Float4 c) => PtxEmulation.MultiplyAdd16x8x16(a, b, c);

    /// <summary>Rounds two floats to halves, nearest even; <paramref name="low"/> in the lower half of the word.</summary>
    [IntrinsicImplementation, Ptx("cvt.rn.f16x2.f32 $0, %1, %0;")]
    public static uint PackHalves(float low, float high) => Chunks.Pack(F16Element.Round(low), F16Element.Round(high));

    /// <summary>Widens the lower and the upper half of a word.</summary>
    [IntrinsicImplementation, Ptx("{ .reg .b16 l, h; mov.b32 {l, h}, %0; cvt.f32.f16 $0, l; cvt.f32.f16 $1, h; }")]
    public static Float2 WidenHalves(uint pair) => new() { X = F16Element.Widen((ushort)pair), Y = F16Element.Widen((ushort)(pair >> 16)) };

    /// <summary>
    /// Lets the kernel behind this one in a graph start as soon as all groups came here or ended: it then runs up to its
    /// <see cref="WaitForDependencies"/> beside this one. sm_90 and later; nothing elsewhere.
    /// </summary>
    [IntrinsicImplementation, Ptx("griddepcontrol.launch_dependents;")]
    public static void LaunchDependents()
    {
    }

    /// <summary>
    /// Waits until the kernel before this one in a graph has ended and its writes are visible. Every kernel does so before it touches anything that
    /// another one writes or reads: those that do not say where do it at once. sm_90 and later; nothing elsewhere.
    /// </summary>
    [IntrinsicImplementation, Ptx("griddepcontrol.wait;")]
    public static void WaitForDependencies()
    {
    }

    private static NotSupportedException Only() => new("a PTX instruction runs on CUDA devices only");
}
