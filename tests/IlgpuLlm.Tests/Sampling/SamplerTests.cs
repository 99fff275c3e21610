using IlgpuLlm.Kernels;
using IlgpuLlm.Sampling;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Sampling;

[TestClass]
public sealed class SamplerTests
{
    [TestMethod]
    public void Generate_PublishedVectors_AreReproduced()
    {
        // Random123's known answers for philox4x32-10: counter and key all zero, and all ones are not expressible with two counter words.
        Assert.AreEqual((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), Philox.Generate(0, 0, 0));
    }

    [TestMethod]
    public void Sample_Greedy_TakesTheLargestAndTheLowestIdOfATie()
    {
        float[] logits = [1, 5, 3, 5];
        Assert.AreEqual(1, Sample(logits, new SamplingParams { Temperature = 0 }));
        Assert.AreEqual(1, Sample(logits, new SamplingParams { Temperature = 9e-6f, TopK = 2 }));
    }

    [TestMethod]
    [DataRow(1f, 0, 1f, 0f)]
    [DataRow(0.7f, 0, 1f, 0f)]
    [DataRow(1f, 3, 1f, 0f)]
    [DataRow(1f, 0, 0.8f, 0f)]
    [DataRow(1f, 0, 1f, 0.2f)]
    [DataRow(1.5f, 5, 0.7f, 0.05f)]
    public void Sample_ManySeeds_FollowsTheFilteredDistribution(float temperature, int topK, float topP, float minP)
    {
        const int NumDraws = 40_000;
        float[] logits = [0.1f, 2.0f, -1.0f, 1.4f, 0.9f, -3.0f, 1.9f, 0.0f];
        var sampling = new SamplingParams { Temperature = temperature, TopK = topK, TopP = topP, MinP = minP };
        double[] expected = Distribution(logits, sampling);
        int[] counts = new int[logits.Length];
        for (int seed = 0; seed < NumDraws; seed++)
            counts[Sample(logits, sampling, (ulong)seed * 0x9E3779B97F4A7C15)]++;
        double chiSquare = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            if (expected[id] == 0)
                Assert.AreEqual(0, counts[id], $"token {id} is filtered out");
            else
                chiSquare += Math.Pow(counts[id] - NumDraws * expected[id], 2) / (NumDraws * expected[id]);
        }
        // 7 degrees of freedom at most: 24.3 is exceeded by chance once in 1,000; the seeds are fixed.
        Assert.IsTrue(chiSquare < 24.3, $"chi-square {chiSquare}");
    }

    [TestMethod]
    public void Sample_LargeVocabularyAgainstPlainFilters_KeepsTheSameSet()
    {
        var random = new Random(5);
        float[] logits = [.. Enumerable.Range(0, 5000).Select(_ => (float)(random.NextDouble() * random.NextDouble() * 20 - 5))];
        foreach (var sampling in (SamplingParams[])[
            new() { TopK = 17 }, new() { TopP = 0.5f }, new() { TopP = 0.999f }, new() { TopK = 300, TopP = 0.9f }, new() { MinP = 0.3f, TopP = 0.95f }])
        {
            double[] expected = Distribution(logits, sampling);
            var seen = new HashSet<int>();
            for (ulong seed = 0; seed < 2000; seed++)
            {
                int token = Sample(logits, sampling, seed);
                Assert.IsTrue(expected[token] > 0, $"{sampling}: token {token} should be filtered out");
                seen.Add(token);
            }
            double missed = Enumerable.Range(0, logits.Length).Where(id => !seen.Contains(id)).Max(id => expected[id]);
            Assert.IsTrue(missed < 0.01, $"{sampling}: a token of probability {missed} was never drawn");
        }
    }

    [TestMethod]
    public void Sample_TiesAtTheTopPBoundary_PreferLowerIds()
    {
        float[] logits = [1, 1, 1, 1];
        var sampling = new SamplingParams { TopP = 0.5f };
        var seen = Enumerable.Range(0, 200).Select(seed => Sample(logits, sampling, (ulong)seed)).ToHashSet();
        CollectionAssert.AreEquivalent(new[] { 0, 1 }, seen.ToArray());
    }

    [TestMethod]
    public void Sample_SameSeed_SameTokenAndOtherPositionsDiffer()
    {
        float[] logits = new float[1000];
        var sampling = new SamplingParams();
        Assert.AreEqual(Sample(logits, sampling, 42), Sample(logits, sampling, 42));
        var tokens = Enumerable.Range(0, 50).Select(numOutput => Sample(logits, sampling, 42, new int[numOutput])).ToHashSet();
        Assert.IsTrue(tokens.Count > 40, "each output position draws anew");
    }

    [TestMethod]
    public void Sample_MinTokens_ForbidsEosAndStopTokensUntilReached()
    {
        float[] logits = [0, 9, 8, 7];
        var sampling = new SamplingParams { Temperature = 0, MinTokens = 1, StopTokenIds = [2] };
        Assert.AreEqual(3, Sample(logits, sampling, eos: [1]));
        Assert.AreEqual(1, Sample(logits, sampling, eos: [1], output: [3]));
        Assert.AreEqual(1, Sample(logits, sampling with { IgnoreEos = true, StopTokenIds = [] }, eos: [1]));
    }

    [TestMethod]
    public void Sample_Penalties_MatchTheirDefinition()
    {
        // prompt [0], output [1, 1, 2]; repetition 2 halves positive and doubles negative logits of 0, 1 and 2.
        float[] logits = [4, 4, -1, 1.6f];
        var sampling = new SamplingParams { Temperature = 0, RepetitionPenalty = 2 };
        Assert.AreEqual(0, Sample(logits, sampling, output: [1, 1, 2]), "4/2, 4/2, -2, 1.6");
        Assert.AreEqual(3, Sample(logits, sampling with { RepetitionPenalty = 4 }, output: [1, 1, 2]), "1, 1, -4, 1.6");
        Assert.AreEqual(0, Sample(logits, new SamplingParams { Temperature = 0, PresencePenalty = 0.1f }, output: [1, 1, 2]), "presence spares the prompt");
        Assert.AreEqual(1, Sample([3.9f, 4, 0, 0], new SamplingParams { Temperature = 0, FrequencyPenalty = 0.04f }, output: [1, 1, 2]));
        Assert.AreEqual(0, Sample([3.9f, 4, 0, 0], new SamplingParams { Temperature = 0, FrequencyPenalty = 0.06f }, output: [1, 1, 2]));
    }

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    public void Sample_LogitsNotFinite_IsAnErrorOfTheRequest(float bad)
    {
        int token = new Sampler(3).Sample([0, bad, 1], NewRequest(new SamplingParams(), 0, [], []), out string? error);
        Assert.AreEqual(-1, token);
        StringAssert.Contains(error, "not finite");
    }

    [TestMethod]
    public void Calculate_Logprobs_AreLogSoftmaxWithRanks()
    {
        var result = LogprobsCalculator.Calculate([0, MathF.Log(2), MathF.Log(5)], chosen: 1, count: 2);
        Assert.AreEqual(Math.Log(2.0 / 8), result.Chosen.Value, 1e-6);
        Assert.AreEqual(2, result.Chosen.Rank);
        CollectionAssert.AreEqual(new[] { 2, 1 }, result.Top.Select(t => t.TokenId).ToArray());
        Assert.AreEqual(3, LogprobsCalculator.Calculate([0, 1, 2], 0, -1).Top.Count);
    }

    private static int Sample(float[] logits, SamplingParams sampling, ulong seed = 0, int[]? output = null, int[]? eos = null)
    {
        int token = new Sampler(logits.Length).Sample([.. logits], NewRequest(sampling, seed, output ?? [], eos ?? []), out string? error);
        Assert.IsNull(error);
        return token;
    }

    private static Request NewRequest(SamplingParams sampling, ulong seed, int[] output, int[] eos)
    {
        var request = new Request("r", [0], sampling, output.Length + 1, seed, eos, 16);
        foreach (int token in output)
            request.AppendToken(token);
        return request;
    }

    /// <summary>vLLM's definition, plainly: temperature, min-p, top-k, top-p, softmax.</summary>
    private static double[] Distribution(float[] logits, SamplingParams sampling)
    {
        double[] scaled = [.. logits.Select(l => (double)l / sampling.Temperature)];
        double max = scaled.Max();
        bool[] keep = [.. scaled.Select(l => Math.Exp(l - max) >= sampling.MinP)];
        int[] order = [.. Enumerable.Range(0, logits.Length).Where(id => keep[id]).OrderByDescending(id => scaled[id]).ThenBy(id => id)];
        if (sampling.TopK > 0)
            order = order[..Math.Min(sampling.TopK, order.Length)];
        double total = order.Sum(id => Math.Exp(scaled[id] - max)), mass = 0;
        var kept = new List<int>();
        foreach (int id in order)
        {
            kept.Add(id);
            mass += Math.Exp(scaled[id] - max) / total;
            if (mass >= sampling.TopP)
                break;
        }
        double keptTotal = kept.Sum(id => Math.Exp(scaled[id] - max));
        double[] result = new double[logits.Length];
        foreach (int id in kept)
            result[id] = Math.Exp(scaled[id] - max) / keptTotal;
        return result;
    }
}
