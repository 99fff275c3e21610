using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>Rows to columns.</summary>
internal static unsafe class Transpose
{
    /// <summary>target[k * step + r] = rows[r][k] * scale for four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourRows(float* row0, float* row1, float* row2, float* row3, int count, float scale, float* target, int step)
    {
        int k = 0;
        for (; k <= count - 4; k += 4, target += 4 * step)
        {
            Vector128<float> a = Vector128.Load(row0 + k) * scale, b = Vector128.Load(row1 + k) * scale;
            Vector128<float> c = Vector128.Load(row2 + k) * scale, d = Vector128.Load(row3 + k) * scale;
            Square(ref a, ref b, ref c, ref d);
            a.Store(target);
            b.Store(target + step);
            c.Store(target + 2 * step);
            d.Store(target + 3 * step);
        }
        for (; k < count; k++, target += step)
        {
            target[0] = row0[k] * scale;
            target[1] = row1[k] * scale;
            target[2] = row2[k] * scale;
            target[3] = row3[k] * scale;
        }
    }

    /// <summary>Four rows of four become columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Square(ref Vector128<float> a, ref Vector128<float> b, ref Vector128<float> c, ref Vector128<float> d)
    {
        Vector128<float> ab = Low(a, b), cd = Low(c, d), ab2 = High(a, b), cd2 = High(c, d);
        a = LowPairs(ab, cd);
        b = HighPairs(ab, cd);
        c = LowPairs(ab2, cd2);
        d = HighPairs(ab2, cd2);
    }

    /// <summary>[a0, b0, a1, b1].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b)
        => Sse.IsSupported ? Sse.UnpackLow(a, b)
            : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
            : Vector128.Create(a[0], b[0], a[1], b[1]);

    /// <summary>[a2, b2, a3, b3].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b)
        => Sse.IsSupported ? Sse.UnpackHigh(a, b)
            : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
            : Vector128.Create(a[2], b[2], a[3], b[3]);

    // Not by the halves of vectors, which the JIT takes through memory: 4 cycles an element.

    /// <summary>[a0, a1, b0, b1].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> LowPairs(Vector128<float> a, Vector128<float> b)
        => Sse2.IsSupported ? Sse2.UnpackLow(a.AsDouble(), b.AsDouble()).AsSingle()
            : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a.AsDouble(), b.AsDouble()).AsSingle()
            : Vector128.Create(a[0], a[1], b[0], b[1]);

    /// <summary>[a2, a3, b2, b3].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> HighPairs(Vector128<float> a, Vector128<float> b)
        => Sse2.IsSupported ? Sse2.UnpackHigh(a.AsDouble(), b.AsDouble()).AsSingle()
            : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a.AsDouble(), b.AsDouble()).AsSingle()
            : Vector128.Create(a[2], a[3], b[2], b[3]);
}
