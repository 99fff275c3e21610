using System.Runtime.InteropServices;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Sampling;
using IlgpuLlm.Scheduling;
using IlgpuLlm.Tests.Golden;

namespace IlgpuLlm.Tests.Sampling;

/// <summary>The device draws the tokens that the host's sampler draws.</summary>
[TestClass]
public sealed class DeviceSamplingTests
{
    private static readonly int[] Eos = [2, 5];

    private static readonly SamplingParams[] Parameters =
    [
        new() { Temperature = 0 },
        new(),
        new() { Temperature = 0.3f },
        new() { Temperature = 5 },
        new() { TopK = 1 },
        new() { TopK = 13 },
        new() { TopK = 300, Temperature = 2 },
        new() { TopP = 0.9f },
        new() { TopP = 0.2f, Temperature = 1.5f },
        new() { TopP = 0.01f, Temperature = 3 },
        new() { TopP = 0.999f },
        new() { MinP = 0.05f },
        new() { MinP = 0.02f, TopP = 0.8f, TopK = 40 },
        new() { TopK = 50, TopP = 0.95f, Temperature = 0.7f },
        new() { Temperature = 0, RepetitionPenalty = 1.3f },
        new() { RepetitionPenalty = 1.1f, PresencePenalty = 0.4f, FrequencyPenalty = 0.2f, TopP = 0.9f },
        new() { FrequencyPenalty = -1.5f, TopK = 20 },
        new() { Temperature = 0, MinTokens = 100 },
        new() { MinTokens = 100, StopTokenIds = [1, 7], PresencePenalty = 2 },
        new() { MinTokens = 100, IgnoreEos = true, StopTokenIds = [0] },
    ];

    [TestMethod]
    [DataRow(17, 12)]
    [DataRow(512, 10)]
    [DataRow(1000, 8)]
    [DataRow(4096, 3)]
    [DataRow(32000, 1)]
    [DataRow(32001, 1)]
    public void Sample_ManyShapesAndParameters_DrawsTheHostsTokens(int vocabSize, int numRounds)
    {
        using var sampling = new Device(vocabSize, Parameters.Length);
        for (int round = 0; round < numRounds; round++)
        {
            foreach (Shape shape in Enum.GetValues<Shape>())
                Compare(sampling, shape, vocabSize, round);
        }
    }

    [TestMethod]
    public void Sample_ManySeeds_FollowsTheDistributionWithTheHostsTokens()
    {
        const int NumRows = 500, NumRounds = 20;
        float[] logits = [0.1f, 2.0f, -1.0f, 1.4f, 0.9f, -3.0f, 1.9f, 0.0f];
        using var sampling = new Device(logits.Length, NumRows);
        var host = new Sampler(logits.Length);
        foreach (var parameters in (SamplingParams[])[new(), new() { TopP = 0.8f }, new() { Temperature = 1.5f, TopK = 5, TopP = 0.7f, MinP = 0.05f }])
        {
            int[] counts = new int[logits.Length];
            for (int round = 0; round < NumRounds; round++)
            {
                var requests = Enumerable.Range(0, NumRows).Select(i => NewRequest(parameters, (ulong)(round * NumRows + i) * 0x9E3779B97F4A7C15, [])).ToArray();
                int[] actual = sampling.Sample([.. Enumerable.Repeat(logits, NumRows).SelectMany(row => row)], requests);
                for (int row = 0; row < NumRows; row++)
                {
                    Assert.AreEqual(host.Sample([.. logits], requests[row], out _), actual[2 * row], $"{parameters}, round {round}, row {row}");
                    counts[actual[2 * row]]++;
                }
            }
            if (parameters is not { TopP: 1, TopK: 0 })
                continue;
            double total = logits.Sum(logit => Math.Exp(logit)), chiSquare = 0;
            for (int id = 0; id < logits.Length; id++)
            {
                double expected = NumRows * NumRounds * Math.Exp(logits[id]) / total;
                chiSquare += Math.Pow(counts[id] - expected, 2) / expected;
            }
            Assert.IsTrue(chiSquare < 24.3, $"chi-square {chiSquare}: 7 degrees of freedom exceed 24.3 once in 1,000");
        }
    }

    [TestMethod]
    [DataRow(float.NaN, 3)]
    [DataRow(float.PositiveInfinity, 6)]
    public void Sample_LogitsNotFinite_NamesTheTokenAndItsLogit(float bad, int index)
    {
        float[] logits = new float[17];
        logits[index] = bad;
        using var sampling = new Device(17, 2);
        int[] result = sampling.Sample([.. logits, .. new float[17]], [NewRequest(new(), 1, []), NewRequest(new() { Temperature = 0 }, 1, [])]);
        Assert.AreEqual(-1 - index, result[0]);
        Assert.AreEqual(bad, BitConverter.Int32BitsToSingle(result[1]));
        Assert.AreEqual(0, result[2]);
        int[] all = sampling.Sample([.. Enumerable.Repeat(float.NegativeInfinity, 34)], [NewRequest(new(), 1, []), NewRequest(new() { Temperature = 0 }, 1, [])]);
        CollectionAssert.AreEqual(new[] { -1, BitConverter.SingleToInt32Bits(float.NegativeInfinity) }, all[..2]);
    }

    [TestMethod]
    public void Sample_RowsWithoutWork_ChangeNothing()
    {
        using var sampling = new Device(17, 3);
        float[] logits = new float[17 * 3];
        logits[17 + 4] = 1;
        int[] result = sampling.Sample(logits, [null, NewRequest(new() { Temperature = 0 }, 1, []), null], initial: 77);
        CollectionAssert.AreEqual(new[] { 77, 77, 4, 0, 77, 77 }, result);
    }

    [TestMethod]
    public void Sample_PenaltiesOverSeveralSteps_CountTheTokensThatItChose()
    {
        const int VocabSize = 40, NumSteps = 30;
        using var sampling = new Device(VocabSize, 1);
        var request = new Request("r", [3, 4, 3], new SamplingParams { RepetitionPenalty = 1.2f, FrequencyPenalty = 0.3f, PresencePenalty = 0.1f }, NumSteps, 9, [], 16);
        var host = new Sampler(VocabSize);
        sampling.Count(0, request);
        for (int step = 0; step < NumSteps; step++)
        {
            float[] logits = Logits(Shape.Normal, VocabSize, new Random(step));
            int expected = host.Sample([.. logits], request, out _);
            int[] actual = sampling.Sample(logits, [request], countTokens: false);
            Assert.AreEqual(expected, actual[0], $"step {step}");
            request.AppendToken(expected);
        }
    }

    [TestMethod]
    public void ResolveTokens_PlaceholdersAndErrors_BecomeTokens()
    {
        using var backend = BackendFactory.Create(GoldenDevice.Ilgpu, 0);
        using DeviceBuffer ids = backend.Allocate(ElementType.I32, 5), sampled = backend.Allocate(ElementType.I32, 6);
        backend.Upload([11, 0, 22, 0, -5, 1], sampled);
        backend.Upload([7, -2, -1, -3, 0], ids);
        backend.ResolveTokens(ids, sampled, 5);
        int[] result = new int[5];
        backend.Download(ids, result);
        CollectionAssert.AreEqual(new[] { 7, 22, 11, 0, 0 }, result);
    }

    private static void Compare(Device sampling, Shape shape, int vocabSize, int round)
    {
        var random = new Random(round * 100 + (int)shape);
        float[] logits = new float[Parameters.Length * vocabSize];
        var requests = new Request?[Parameters.Length];
        for (int row = 0; row < Parameters.Length; row++)
        {
            Logits(shape, vocabSize, random).CopyTo(logits, row * vocabSize);
            int[] output = [.. Enumerable.Range(0, random.Next(0, 60)).Select(_ => random.Next(vocabSize))];
            requests[row] = NewRequest(Parameters[row], (ulong)random.NextInt64(), output);
        }
        int[] actual = sampling.Sample(logits, requests);
        var host = new Sampler(vocabSize);
        for (int row = 0; row < Parameters.Length; row++)
        {
            int expected = host.Sample(logits.AsSpan(row * vocabSize, vocabSize), requests[row]!, out string? error);
            if (error is not null)
                Assert.IsTrue(actual[2 * row] < 0, $"{shape}, {vocabSize} tokens, {Parameters[row]}: {error}");
            else
                Assert.AreEqual(expected, actual[2 * row], $"{shape}, {vocabSize} tokens, round {round}, {Parameters[row]}");
        }
    }

    private static Request NewRequest(SamplingParams sampling, ulong seed, int[] output)
    {
        var request = new Request("r", [0, 3], sampling, output.Length + 1, seed, Eos, 16);
        foreach (int token in output)
            request.AppendToken(token);
        return request;
    }

    private static float[] Logits(Shape shape, int vocabSize, Random random)
    {
        float Normal() => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        float[] logits = new float[vocabSize];
        for (int id = 0; id < vocabSize; id++)
        {
            logits[id] = shape switch
            {
                Shape.Equal => 1.5f,
                Shape.Flat => 0.01f * Normal(),
                Shape.Normal => 2 * Normal(),
                Shape.Peaked => 8 * Normal(),
                Shape.Language => -12 + 2 * Normal() + (random.Next(200) == 0 ? 15 * random.NextSingle() : 0),
                Shape.Ties => MathF.Round(3 * Normal()),
                Shape.Zeros => random.Next(2) == 0 ? 0f : -0f,
                _ => random.Next(3) == 0 ? Normal() : float.NegativeInfinity,
            };
        }
        return logits;
    }

    private enum Shape
    {
        Equal,
        Flat,
        Normal,
        Peaked,
        Language,
        Ties,
        Zeros,
        Forbidden,
    }

    /// <summary>Buffers for some rows.</summary>
    private sealed class Device : IDisposable
    {
        private readonly Backend _backend = BackendFactory.Create(GoldenDevice.Ilgpu, 0);
        private readonly DeviceBuffer _logits, _sampled, _tokens, _parameters;
        private readonly SamplingBatch _batch;
        private readonly int _numRows;

        public Device(int vocabSize, int numRows)
        {
            _numRows = numRows;
            _logits = _backend.Allocate(ElementType.F32, (long)numRows * vocabSize);
            _sampled = _backend.Allocate(ElementType.I32, numRows * Backend.SampledWidth);
            _tokens = _backend.Allocate(ElementType.I32, 1000);
            _parameters = _backend.Allocate(ElementType.I32, 1 + numRows * SamplingRow.NumWords);
            _batch = new SamplingBatch
            {
                Rows = _parameters.Slice(1, numRows * SamplingRow.NumWords), // at no multiple of a row, as in a step's slab
                Banned = _backend.Allocate(ElementType.I32, numRows * SamplingRow.MaxBanned),
                TokenCounts = _backend.Allocate(ElementType.I32, (long)numRows * vocabSize),
                VocabSize = vocabSize,
                NumRows = numRows,
            };
        }

        public void Count(int row, Request request)
        {
            _backend.Upload(request.TokenIds, _tokens);
            _backend.CountTokens(_batch.TokenCounts, _batch.VocabSize, row, _tokens, request.NumPromptTokens, request.NumTokens);
        }

        public int[] Sample(float[] logits, Request?[] requests, bool countTokens = true, int initial = 0)
        {
            var rows = new SamplingRow[_numRows];
            int[] banned = new int[_numRows * SamplingRow.MaxBanned];
            for (int row = 0; row < _numRows; row++)
            {
                if (requests[row] is not { } request)
                    continue;
                bool hasPenalties = SamplingRows.HasPenalties(request);
                if (hasPenalties && countTokens)
                    Count(row, request);
                rows[row] = SamplingRows.Create(request, request.NumOutputTokens, row, hasPenalties ? row : SamplingRow.NoCounts,
                    banned.AsSpan(row * SamplingRow.MaxBanned, SamplingRow.MaxBanned));
            }
            int[] result = [.. Enumerable.Repeat(initial, _numRows * Backend.SampledWidth)];
            _backend.Upload(logits, _logits);
            _backend.Upload(MemoryMarshal.Cast<SamplingRow, int>(rows), _batch.Rows);
            _backend.Upload(banned, _batch.Banned);
            _backend.Upload(result, _sampled);
            _backend.Sample(_logits, _batch, _sampled);
            _backend.Download(_sampled, result);
            return result;
        }

        public void Dispose()
        {
            foreach (var buffer in (DeviceBuffer[])[_logits, _sampled, _tokens, _parameters, _batch.Banned, _batch.TokenCounts])
                buffer.Dispose();
            _backend.Dispose();
        }
    }
}
