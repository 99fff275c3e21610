using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

internal sealed unsafe partial class CpuKernels<TSimd, TVec>
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void RmsNorm(float* x, float* weight, float* output, int width, float epsilon)
    {
        int vectorEnd = width - width % TSimd.Count;
        // Two chains of sums; the tail is added behind them.
        TVec even = default, odd = default;
        float tail = 0;
        for (int i = 0; i < vectorEnd; i += TSimd.Count)
        {
            TVec value = TSimd.Load(x + i);
            (even, odd) = (odd, TSimd.MulAdd(value, value, even));
        }
        for (int i = vectorEnd; i < width; i++)
            tail += x[i] * x[i];
        float scale = 1 / MathF.Sqrt((TSimd.Sum(TSimd.Add(even, odd)) + tail) / width + epsilon);
        TVec scales = TSimd.Broadcast(scale);
        for (int i = 0; i < vectorEnd; i += TSimd.Count)
            TSimd.Store(TSimd.Mul(TSimd.Mul(TSimd.Load(x + i), scales), TSimd.Load(weight + i)), output + i);
        for (int i = vectorEnd; i < width; i++)
            output[i] = x[i] * scale * weight[i];
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SiluMul(float* gate, float* up, float* output, int width)
    {
        int i = 0;
        for (; i <= width - TSimd.Count; i += TSimd.Count)
            TSimd.Store(TSimd.Mul(SimdMath<TSimd, TVec>.Silu(TSimd.Load(gate + i)), TSimd.Load(up + i)), output + i);
        for (; i < width; i++)
            output[i] = SimdMath<SimdScalar, float>.Silu(gate[i]) * up[i];
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Rotate(float* head, float* cosSin, int half)
    {
        for (int i = 0; i < half; i += TSimd.Count)
        {
            TVec low = TSimd.Load(head + i), high = TSimd.Load(head + half + i);
            TVec cos = TSimd.Load(cosSin + i), sin = TSimd.Load(cosSin + half + i);
            TSimd.Store(TSimd.Sub(TSimd.Mul(low, cos), TSimd.Mul(high, sin)), head + i);
            TSimd.Store(TSimd.Add(TSimd.Mul(high, cos), TSimd.Mul(low, sin)), head + half + i);
        }
    }
}
