using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>Which instructions products of codes are made of, and dot products of bytes against integers.</summary>
[TestClass]
public sealed unsafe class SimdDotTests
{
    [TestMethod]
    public void WidestFirst_ThisMachine_UsesWhatItHas()
    {
        int[] expected = [.. Lengths()];
        CollectionAssert.AreEqual(expected, CpuKernels.WidestFirst.Select(kernels => kernels.VectorLength).ToArray());
        Assert.AreEqual(Dp.IsSupported, HasDots<Simd128, Vector128<float>>(), "NEON");
        Assert.AreEqual(AvxVnni.IsSupported, HasDots<Simd256, Vector256<float>>(), "AVX2");
        Assert.IsFalse(HasDots<Simd512, Vector512<float>>(), "AVX-512");
        Console.WriteLine($"floats of a vector: {string.Join(", ", expected)}; AdvSimd {AdvSimd.IsSupported}, Dp {Dp.IsSupported}, AvxVnni {AvxVnni.IsSupported}");

        static IEnumerable<int> Lengths()
        {
            if (Avx512BW.IsSupported && Vector512.IsHardwareAccelerated)
                yield return 16;
            if (Avx2.IsSupported && Fma.IsSupported)
                yield return 8;
            if (Sse2.IsSupported || AdvSimd.IsSupported)
                yield return 4;
            yield return 1;
        }
    }

    [TestMethod]
    public void AddDots_AnyBytes_MeetsIntegers()
    {
        if (!HasDots<Simd128, Vector128<float>>() && !HasDots<Simd256, Vector256<float>>())
            Assert.Inconclusive("no dot products of bytes on this machine");
        if (HasDots<Simd128, Vector128<float>>())
            Check<Simd128, Vector128<float>>();
        if (HasDots<Simd256, Vector256<float>>())
            Check<Simd256, Vector256<float>>();
    }

    private static bool HasDots<TSimd, TVec>()
        where TSimd : struct, ISimd<TVec>
        where TVec : unmanaged
        => TSimd.HasDots;

    private static void Check<TSimd, TVec>()
        where TSimd : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        const int Quads = 4;
        int chunk = TSimd.Count * sizeof(int);
        var random = new Random(1);
        byte[] codes = new byte[Quads * chunk], activations = new byte[Quads * sizeof(int)];
        for (int n = 0; n < 200; n++)
        {
            random.NextBytes(codes);
            random.NextBytes(activations);
            if (n < 4) // the extremes: 0 or 255 with -128 or 127
            {
                Array.Fill(codes, (byte)(n % 2 * 255));
                Array.Fill(activations, (byte)(127 + n / 2));
            }
            int start = random.Next(-1000, 1000);
            fixed (byte* c = codes, x = activations)
            {
                TVec sums = TSimd.AddDots(TSimd.BroadcastBits(&start), TSimd.LoadCodes(c), TSimd.LoadCodes(c + chunk), TSimd.LoadCodes(c + 2 * chunk),
                    TSimd.LoadCodes(c + 3 * chunk), (sbyte*)x);
                for (int lane = 0; lane < TSimd.Count; lane++)
                    Assert.AreEqual(start + Products(codes, lane, TSimd.CodeOffset), ((int*)&sums)[lane], $"8 bits, lane {lane} of {TSimd.Count}");
                TSimd.SplitNibbles(c, out TVec low, out TVec high);
                sums = TSimd.AddDots(default, low, high, low, high, (sbyte*)x);
                byte[] nibbles = [.. codes[..chunk].Select(b => (byte)(b & 15)), .. codes[..chunk].Select(b => (byte)(b >> 4))];
                for (int lane = 0; lane < TSimd.Count; lane++)
                    Assert.AreEqual(Products([.. nibbles, .. nibbles], lane, 0), ((int*)&sums)[lane], $"4 bits, lane {lane} of {TSimd.Count}");
            }
        }

        int Products(byte[] bytes, int lane, int offset)
        {
            int sum = 0;
            for (int quad = 0; quad < Quads; quad++)
                for (int j = 0; j < 4; j++)
                    sum += (bytes[quad * chunk + 4 * lane + j] - offset) * (sbyte)activations[4 * quad + j];
            return sum;
        }
    }
}
