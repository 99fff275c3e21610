using System.Runtime.Intrinsics;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Cpu.Simd;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

[TestClass]
public sealed unsafe class PackedHalfTests
{
    public static IEnumerable<object[]> Widths => CpuKernels.WidestFirst.Select(kernels => new object[] { kernels.VectorLength });

    [TestMethod]
    public void TryEncode_AllHalves_ExactBelow128()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            var half = BitConverter.UInt16BitsToHalf((ushort)bits);
            bool hasCode = PackedHalf.TryEncode((ushort)bits, out ushort code);
            Assert.AreEqual(Half.Abs(half) < (Half)128, hasCode, $"{half}");
            float expected = hasCode ? (float)half : 0;
            Assert.AreEqual(BitConverter.SingleToInt32Bits(expected), BitConverter.SingleToInt32Bits(PackedHalf.Decode(code)), $"{half}");
        }
    }

    [TestMethod]
    public void LoadPackedHalf_AllCodes_SameInEveryWidthAndNeverSubnormal()
    {
        if (Simd512.IsSupported)
            Check<Simd512, Vector512<float>>();
        if (Simd256.IsSupported)
            Check<Simd256, Vector256<float>>();
        if (Simd128.IsSupported)
            Check<Simd128, Vector128<float>>();
        Check<SimdScalar, float>();
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Linear_OutliersAndSubnormals_AreExact(int vectorLength)
    {
        using var backend = new CpuBackend(2, CpuKernels.WidestFirst.First(kernels => kernels.VectorLength == vectorLength));
        const int N = 37, K = 30;
        float[] w = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(1, N * K));
        (w[0], w[K + 3], w[5 * K + 7], w[5 * K + 8], w[36 * K + 29]) = (128, -65504, 1000, 6e-8f, -3e-5f);
        w = TestTensors.RoundTo(ElementType.F16, w);
        using var weight = backend.CreateLinear(w, null, N, K, ElementType.F16);
        CheckElements(w);
        using (DeviceBuffer ids = backend.Upload([5, 1]), hidden = backend.Allocate(ElementType.F32, 2 * K))
        {
            backend.EmbeddingLookup(weight, ids, hidden, 2);
            TestTensors.AssertSameBits([.. w[(5 * K)..(6 * K)], .. w[K..(2 * K)]], backend.Download(hidden), "embedding");
        }

        // A row that is loaded anew has no outliers of old; an infinite one spoils its own output alone.
        float[] row = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(2, K));
        weight.LoadRows(5, 1, ElementType.F32, TestTensors.Encode(ElementType.F32, row));
        row.CopyTo(w.AsSpan(5 * K));
        CheckElements(w);
        row[2] = float.PositiveInfinity;
        weight.LoadRows(5, 1, ElementType.F32, TestTensors.Encode(ElementType.F32, row));
        using DeviceBuffer input = backend.Upload(TestTensors.Random(3, K)), output = backend.Allocate(ElementType.F32, N);
        backend.Linear(weight, input, output, 1);
        float[] y = backend.Download(output);
        Assert.IsTrue(float.IsInfinity(y[5]));
        Assert.AreEqual(N - 1, y.Count(float.IsFinite));

        void CheckElements(float[] expected)
        {
            float[] unit = new float[K * K];
            for (int i = 0; i < K; i++)
                unit[i * K + i] = 1;
            using DeviceBuffer x = backend.Upload(unit), columns = backend.Allocate(ElementType.F32, K * N);
            foreach (int rows in new[] { 1, 7, K })
            {
                backend.Linear(weight, x, columns, rows);
                float[] actual = backend.Download(columns);
                for (int k = 0; k < rows; k++)
                    for (int n = 0; n < N; n++)
                        Assert.AreEqual(expected[n * K + k], actual[k * N + n], $"[{n}, {k}], {rows} rows");
            }
        }
    }

    private static void Check<TSimd, TVec>()
        where TSimd : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* values = stackalloc float[TSimd.Count];
        ushort* codes = stackalloc ushort[TSimd.Count];
        for (int first = 0; first <= ushort.MaxValue; first += TSimd.Count)
        {
            for (int i = 0; i < TSimd.Count; i++)
                codes[i] = (ushort)(first + i);
            TSimd.Store(TSimd.LoadPackedHalf(codes), values);
            for (int i = 0; i < TSimd.Count; i++)
                if ((codes[i] & 0x7C00) != 0 || (codes[i] & 0x3FF) == 0)
                {
                    Assert.IsFalse(float.IsSubnormal(values[i]));
                    Assert.AreEqual(PackedHalf.Decode(codes[i]), values[i] * PackedHalf.InputScale * PackedHalf.SumScale);
                }
        }
    }
}
