using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>The kernels of one vector width: the seam between operations, which are split over threads, and instructions.</summary>
internal abstract unsafe class CpuKernels
{
    /// <summary>All that this machine has, the widest first. The last one works on single floats.</summary>
    public static IReadOnlyList<CpuKernels> WidestFirst { get; } = [.. CreateAll()];

    /// <summary>
    /// Those that multiply codes of 8 bits with activations of 8 bits: the widest that have an instruction for dot products of bytes, which .NET 10 has for
    /// 256 and 128 bits alone (128 rows on one thread of an Emerald Rapids: 205 GFLOP/s, by products of shorts of 512 bits 100); else the widest. Codes of 4 bits
    /// are faster the other way, 240 against 180 GFLOP/s.
    /// </summary>
    public static CpuKernels ForBytes { get; } = WidestFirst.FirstOrDefault(kernels => kernels.HasDots) ?? WidestFirst[0];

    /// <summary>The widest, up to this one's width, whose vectors fill <paramref name="length"/> exactly, so that its kernels need no tails.</summary>
    public CpuKernels WidestDividing(int length)
    {
        for (int i = 0; i < WidestFirst.Count - 1; i++)
            if (WidestFirst[i].VectorLength <= VectorLength && length % WidestFirst[i].VectorLength == 0)
                return WidestFirst[i];
        return WidestFirst[^1];
    }

    /// <summary>Floats in a vector.</summary>
    public abstract int VectorLength { get; }

    /// <summary>The rows of a weight that lie side by side.</summary>
    public int PanelWidth => 2 * VectorLength;

    /// <summary>Floats of scratch that products need.</summary>
    public abstract int LinearScratchLength { get; }

    /// <summary>Panels [firstPanel, endPanel) of output = input W^T + bias, or of output += that.</summary>
    public abstract void Linear(CpuBlockedWeight weight, float* input, float* output, int numRows, bool accumulate, int firstPanel, int endPanel, float* scratch);

    /// <summary>The same with activations rounded to 8 bits.</summary>
    public abstract void Linear(CpuDotLinearWeight weight, float* input, float* output, int numRows, bool accumulate, int firstPanel, int endPanel, float* scratch);

    /// <summary>Whether there is an instruction for dot products of bytes.</summary>
    public abstract bool HasDots { get; }

    /// <summary>Whether the scratch of <see cref="LinearScratchLength"/> holds a row of so many activations of 8 bits.</summary>
    public abstract bool CanMultiplyDots(CpuDotLayout layout);

    /// <summary>One row of RmsNorm.</summary>
    public abstract void RmsNorm(float* x, float* weight, float* output, int width, float epsilon);

    /// <summary>output = silu(gate) * up.</summary>
    public abstract void SiluMul(float* gate, float* up, float* output, int width);

    /// <summary>Rotates a head of 2 * half elements in place; half is a multiple of <see cref="VectorLength"/>.</summary>
    public abstract void Rotate(float* head, float* cosSin, int half);

    /// <summary>Attention of the query heads of one token that share a key-value head; headDim is a multiple of <see cref="VectorLength"/>.</summary>
    public abstract void Attend(in AttentionItem item, AttentionScratch scratch);

    /// <summary>Multiplications and additions of a round of <see cref="MultiplyAddPeak"/>.</summary>
    public abstract int MultiplyAddPeakFlops { get; }

    /// <summary>Rounds of multiply-adds that wait for nothing but the units. Returns their sum, so that none is left out.</summary>
    public abstract float MultiplyAddPeak(int numRounds);

    /// <summary>The sum of what lies in whole groups of four vectors.</summary>
    public abstract float ReadPeak(float* source, int length);

    /// <summary>a = b + 3 c in whole vectors.</summary>
    public abstract void TriadPeak(float* a, float* b, float* c, int length);

    private static IEnumerable<CpuKernels> CreateAll()
    {
        if (Simd512.IsSupported)
            yield return new CpuKernels<Simd512, Vector512<float>>();
        if (Simd256.IsSupported)
            yield return new CpuKernels<Simd256, Vector256<float>>();
        if (Simd128.IsSupported)
            yield return new CpuKernels<Simd128, Vector128<float>>();
        yield return new CpuKernels<SimdScalar, float>();
    }
}
