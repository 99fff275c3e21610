using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Sums of some rows times the two vectors of a panel: structs made of each other. The JIT keeps the sums of such a struct in registers, though not those of
/// one of more than 16 vectors, and only while all calls are inlined, for which its budget suffices if tiles do nothing else.
/// </summary>
internal static unsafe partial class MicroKernels<TSimd, TVec>
{
    /// <summary>The rows of a tile; of <see cref="None"/>, whose size is a byte, none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Rows<TTile>()
        where TTile : unmanaged, ITile
        => sizeof(TTile) / (2 * sizeof(TVec));

    private interface ITile
    {
        /// <summary>sums[r] += a[r * step] * (b0, b1).</summary>
        void MulAdd(float* a, int step, TVec b0, TVec b1);
    }

    private struct None : ITile
    {
        public readonly void MulAdd(float* a, int step, TVec b0, TVec b1)
        {
        }
    }

    private struct One : ITile
    {
        private TVec _sum0;
        private TVec _sum1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void MulAdd(float* a, int step, TVec b0, TVec b1)
        {
            TVec x = TSimd.Broadcast(*a);
            _sum0 = TSimd.MulAdd(x, b0, _sum0);
            _sum1 = TSimd.MulAdd(x, b1, _sum1);
        }
    }

    private struct Both<TFirst, TSecond> : ITile
        where TFirst : unmanaged, ITile
        where TSecond : unmanaged, ITile
    {
#pragma warning disable CS0649, IDE0044 // their own methods change them, which the compiler does not see of type parameters
        private TFirst _first;
        private TSecond _second;
#pragma warning restore CS0649, IDE0044

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void MulAdd(float* a, int step, TVec b0, TVec b1)
        {
            _first.MulAdd(a, step, b0, b1);
            _second.MulAdd(a + Rows<TFirst>() * step, step, b0, b1);
        }
    }
}
