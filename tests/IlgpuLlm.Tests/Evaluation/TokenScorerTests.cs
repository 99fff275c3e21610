using System.Runtime.InteropServices;
using IlgpuLlm.Evaluation;
using IlgpuLlm.Loading;
using IlgpuLlm.Tests.Engine;
using IlgpuLlm.Tests.Loading;

namespace IlgpuLlm.Tests.Evaluation;

[TestClass]
public sealed class TokenScorerTests
{
    private static readonly int[] Ids = [1, 403, 407, 1100, 12, 2049, 3000, 77, 601, 261, 5, 9];
    private static LLM _llm = null!;
    private static TokenScorer _scorer = null!;

    [ClassInitialize]
    public static void Load(TestContext _)
    {
        _llm = new LLM(new EngineOptions { Device = "cpu" });
        _scorer = new TokenScorer(_llm);
    }

    [ClassCleanup]
    public static void Unload() => _llm.Dispose();

    [TestMethod]
    public void Score_Sequence_IsWhatPromptLogprobsSay()
    {
        var scores = _scorer.Score(Ids);
        var output = _llm.Generate(Prompt.FromTokens(Ids), new SamplingParams { PromptLogprobs = 2, Temperature = 0, MaxTokens = 1, IgnoreEos = true, Logprobs = 2 });
        var positions = output.PromptLogprobs!.Concat(output.Outputs[0].Logprobs!).ToList();
        Assert.AreEqual(Ids.Length, scores.Top1TokenIds.Count);
        Assert.AreEqual(Ids.Length - 1, scores.Logprobs.Count);
        for (int i = 0; i < Ids.Length; i++)
        {
            Assert.AreEqual(positions[i].Top[0].TokenId, scores.Top1TokenIds[i], $"position {i}");
            Assert.AreEqual(positions[i].Top[0].Value - positions[i].Top[1].Value, scores.Top1Leads[i], 1e-5, $"position {i}");
            if (i < Ids.Length - 1)
                Assert.AreEqual(positions[i].Chosen.Value, scores.Logprobs[i], $"position {i}");
        }
    }

    [TestMethod]
    public void Score_ManySequencesInSmallChunks_SameBits()
    {
        using var small = new LLM(new EngineOptions { Device = "cpu", MaxNumBatchedTokens = 5, MaxNumSeqs = 3, NumBlocksOverride = 12, MaxModelLen = 64 });
        int[][] sequences = [Ids, [1], [.. Ids.Reverse()], Ids[..4], [.. Ids, .. Ids, .. Ids]];
        var done = new List<int>();
        var many = new TokenScorer(small).Score(sequences, new Counter(done));
        CollectionAssert.AreEqual(new[] { 1, 2, 3, 4, 5 }, done);
        for (int s = 0; s < sequences.Length; s++)
        {
            var alone = _scorer.Score(sequences[s]);
            CollectionAssert.AreEqual(sequences[s], many[s].TokenIds.ToArray());
            CollectionAssert.AreEqual(alone.Logprobs.ToArray(), many[s].Logprobs.ToArray(), $"sequence {s}");
            CollectionAssert.AreEqual(alone.Top1TokenIds.ToArray(), many[s].Top1TokenIds.ToArray(), $"sequence {s}");
        }
    }

    [TestMethod]
    public void LogSoftmax_Rows_AreNormalisedLogits()
    {
        var logits = _scorer.Logits(Ids);
        var rows = _scorer.LogSoftmax(Ids);
        var scores = _scorer.Score(Ids);
        for (int i = 0; i < Ids.Length; i++)
        {
            Assert.AreEqual(1, rows[i].Sum(value => Math.Exp(value)), 1e-5);
            Assert.AreEqual(logits[i][7] - logits[i][8], rows[i][7] - rows[i][8], 1e-5);
            if (i < Ids.Length - 1)
                Assert.AreEqual(scores.Logprobs[i], rows[i][Ids[i + 1]]);
        }
    }

    [TestMethod]
    public void KlDivergence_Itself_IsZeroAndQuantizedIsNot()
    {
        using var int4 = new LLM(new EngineOptions { Device = "cpu", Quantization = "int4" });
        var reference = _scorer.LogSoftmax(Ids);
        var other = new TokenScorer(int4).LogSoftmax(Ids);
        var same = _scorer.KlDivergence(Ids, reference);
        var divergence = new TokenScorer(int4).KlDivergence(Ids, reference);
        for (int i = 0; i < Ids.Length; i++)
        {
            Assert.AreEqual(0, same[i], 1e-6);
            double expected = reference[i].Zip(other[i], (p, q) => Math.Exp(p) * (p - q)).Sum();
            Assert.AreEqual(expected, divergence[i], 1e-5);
            Assert.IsTrue(divergence[i] > 1e-4, $"{divergence[i]}");
        }
    }

    [TestMethod]
    public void KlDivergence_OtherShape_Throws() => Assert.ThrowsExactly<ArgumentException>(() => _scorer.KlDivergence(Ids, [new float[10]]));

    [TestMethod]
    public void ScoreText_Windows_AverageTheirTokens()
    {
        var windows = new ScoringWindows { Length = 6, Stride = 3 };
        var score = _scorer.ScoreText(Ids[1..], windows);
        double sum = 0;
        foreach (var window in _scorer.Divide(Ids[1..], windows))
            sum -= _scorer.Score(window.TokenIds).Logprobs.Skip(window.FirstScored - 1).Sum(value => (double)value);
        Assert.AreEqual(Ids.Length - 1, score.NumTokens);
        Assert.AreEqual(3, score.NumWindows);
        Assert.AreEqual(sum / score.NumTokens, score.MeanNll, 1e-12);
        Assert.AreEqual(Math.Exp(score.MeanNll), score.Perplexity);
        Assert.IsTrue(score.TokensPerSecond > 0);
    }

    [TestMethod]
    public void Score_BadTokens_SaysWhatIsWrong()
    {
        StringAssert.Contains(Assert.ThrowsExactly<InvalidRequestException>(() => _scorer.Score([4096])).Message, "4096");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidRequestException>(() => _scorer.Score(new int[1024])).Message, "at most 1023");
        Assert.ThrowsExactly<InvalidRequestException>(() => _scorer.Score([]));
    }

    [TestMethod]
    public void Score_LogitsNotFinite_NamesThePosition()
    {
        using var model = new TempModel("llama-gqa");
        SetOutputRow(model.Folder, 5, float.NaN);
        using var llm = new LLM(new EngineOptions { Model = model.Folder, Device = "cpu" });
        var error = Assert.ThrowsExactly<ScoringException>(() => new TokenScorer(llm).Score([1, 2, 3]));
        StringAssert.Contains(error.Message, "position 0: the model's logits are not finite (token 5");
        Assert.AreEqual(1, llm.Generate(Prompt.FromTokens([1]), new SamplingParams { MaxTokens = 1 }).Outputs.Count); // the engine lives on
    }

    [TestMethod]
    public void Score_Cancelled_Throws() => Assert.ThrowsExactly<OperationCanceledException>(() => _scorer.Score([Ids], null, new CancellationToken(canceled: true)));

    private static void SetOutputRow(string folder, int token, float value)
    {
        string path = Path.Combine(folder, "model.safetensors");
        var builder = new SafetensorsBuilder();
        using (var file = SafetensorsFile.Open(path))
        {
            foreach (var tensor in file.Tensors.Values)
            {
                float[] values = MemoryMarshal.Cast<byte, float>(file.Read(tensor, 0, (int)tensor.ByteLength)).ToArray();
                if (tensor.Name == "lm_head.weight")
                    values.AsSpan(token * (int)tensor.Shape[1], (int)tensor.Shape[1]).Fill(value);
                builder.Add(tensor.Name, "F32", [.. tensor.Shape], values);
            }
        }
        File.WriteAllBytes(path, builder.Build());
    }

    private sealed class Counter(List<int> counts) : IProgress<int>
    {
        public void Report(int value) => counts.Add(value);
    }
}
