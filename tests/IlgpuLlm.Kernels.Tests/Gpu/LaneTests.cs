using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Barriers, shuffles and the division of work among lanes, on ILGPU's CPU accelerator with groups of four lanes: four threads that meet at each
/// barrier, so the shapes are tiny.
/// </summary>
[TestClass]
public sealed class LaneTests
{
    private const int Lanes = 4;

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    public void Linear_FourLanes_MatchesReference(ElementType storage)
    {
        using Backend backend = GpuBackend.CreateIlgpuCpu(Lanes);
        foreach ((int n, int k) in new[] { (3, 7), (5, 64), (2, 203) })
        {
            float[] w = TestTensors.RoundTo(storage, TestTensors.Random(n, n * k)), bias = TestTensors.Random(k, n);
            using LinearWeight weight = backend.CreateLinear(w, bias, n, k, storage);
            foreach (int rows in new[] { 1, 3, 9 })
            {
                float[] x = TestTensors.Random(rows, rows * k);
                using DeviceBuffer input = backend.Upload(x), output = backend.Allocate(ElementType.F32, rows * n);
                backend.Linear(weight, input, output, rows);
                TestTensors.AssertClose(ReferenceKernels.Linear(w, bias, x, rows, n, k), backend.Download(output), 2e-5, 1e-6, $"{rows} rows of [{n}, {k}]");
            }
        }
    }

    [TestMethod]
    public void RmsNorm_FourLanes_MatchesReference()
    {
        using Backend backend = GpuBackend.CreateIlgpuCpu(Lanes);
        foreach (int width in new[] { 1, 3, 37 })
        {
            float[] x = TestTensors.Random(width, 2 * width), w = TestTensors.Random(width + 1, width);
            using DeviceBuffer input = backend.Upload(x), weight = backend.Upload(w), output = backend.Allocate(ElementType.F32, 2 * width);
            backend.RmsNorm(input, weight, output, 2, 1e-5f);
            TestTensors.AssertClose(ReferenceKernels.RmsNorm([.. x], w, 2, 1e-5f), backend.Download(output), 1e-6, 1e-6, $"width {width}");
        }
    }

    [TestMethod]
    [DataRow(ElementType.F32, 20, 0)]
    [DataRow(ElementType.F16, 64, 130)]
    [DataRow(ElementType.U8, 24, 0)]
    public void PagedAttention_FourLanes_SameBitsAsOne(ElementType cacheType, int headDim, int window)
    {
        var shape = new AttentionShape(1, 1, headDim, window, 1 / MathF.Sqrt(headDim));
        const int Length = 133; // two tiles for the last tokens
        var run = new AttentionRun
        {
            Shape = shape,
            BlockSize = 16,
            CacheType = cacheType,
            Sequences = [TestTensors.Random(1, Length * shape.QkvWidth, 2)],
            RotaryTable = TestTensors.Random(2, Length * headDim),
            Steps = [[Length - 3]],
        };
        using Backend one = GpuBackend.CreateIlgpuCpu(lanes: 1), four = GpuBackend.CreateIlgpuCpu(Lanes);
        TestTensors.AssertSameBits(run.Execute(one)[0], run.Execute(four)[0], "attention");
    }

    [TestMethod]
    [DataRow(41)]
    [DataRow(44)]
    public void Sample_FourLanes_SameTokensAsOne(int vocabSize)
    {
        SamplingRow[] rows =
        [
            Row(SamplingKind.Greedy), Row(SamplingKind.Random), Row(SamplingKind.Random) with { TopK = 5 }, Row(SamplingKind.Random) with { TopP = 0.6f },
            Row(SamplingKind.Random) with { TopK = 9, TopP = 0.8f, Floor = -3 }, Row(SamplingKind.None), Row(SamplingKind.Greedy) with { CountsRow = 1, NumBanned = 3 },
        ];
        for (int i = 0; i < rows.Length; i++)
            rows[i].Output = rows.Length - 1 - i;
        foreach (int seed in new[] { 1, 2, 3 })
        {
            float[] logits = TestTensors.Random(seed, rows.Length * vocabSize, 4);
            if (seed == 3)
                logits = [.. logits.Select(x => MathF.Round(x))]; // ties
            using Backend one = GpuBackend.CreateIlgpuCpu(lanes: 1), four = GpuBackend.CreateIlgpuCpu(Lanes);
            CollectionAssert.AreEqual(Sample(one, logits, rows, vocabSize), Sample(four, logits, rows, vocabSize), $"seed {seed}");
        }

        static SamplingRow Row(SamplingKind kind) => new()
        {
            Kind = kind,
            InverseTemperature = 1,
            TopP = 1,
            Floor = -float.MaxValue,
            SeedLow = 5,
            OutputPosition = 3,
            CountsRow = SamplingRow.NoCounts,
            RepetitionPenalty = 2,
            FrequencyPenalty = 0.5f,
        };
    }

    private static int[] Sample(Backend backend, float[] logits, SamplingRow[] rows, int vocabSize)
    {
        int[] banned = new int[rows.Length * SamplingRow.MaxBanned], tokens = [1, 2, 2, 7, 8, 8, 8, 30], result = new int[2 * rows.Length + 2 * vocabSize];
        for (int i = 0; i < banned.Length; i++)
            banned[i] = i % vocabSize;
        using DeviceBuffer values = backend.Upload(logits), parameters = backend.Upload(System.Runtime.InteropServices.MemoryMarshal.Cast<SamplingRow, int>(rows).ToArray());
        using DeviceBuffer bannedIds = backend.Upload(banned), tokenIds = backend.Upload(tokens), results = backend.Upload(result);
        var batch = new SamplingBatch
        {
            Rows = parameters,
            Banned = bannedIds,
            TokenCounts = results.Slice(2 * rows.Length, 2 * vocabSize),
            VocabSize = vocabSize,
            NumRows = rows.Length,
        };
        backend.CountTokens(batch.TokenCounts, vocabSize, 1, tokenIds, 3, tokens.Length);
        backend.Sample(values, batch, results);
        backend.Download(results, result);
        return result;
    }
}
