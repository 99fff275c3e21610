namespace IlgpuLlm.Tests;

[TestClass]
public sealed class SamplingParamsTests
{
    [TestMethod]
    public void Defaults_AreThoseOfVllm()
    {
        var p = new SamplingParams();
        Assert.AreEqual((1, 1f, 0, 1f, 0f), (p.N, p.Temperature, p.TopK, p.TopP, p.MinP));
        Assert.AreEqual((0f, 0f, 1f), (p.PresencePenalty, p.FrequencyPenalty, p.RepetitionPenalty));
        Assert.AreEqual(((int?)16, 0, (long?)null, false, true), (p.MaxTokens, p.MinTokens, p.Seed, p.IgnoreEos, p.SkipSpecialTokens));
        Assert.AreEqual(0, p.Stop.Count + p.StopTokenIds.Count);
        p.Validate();
        new SamplingParams { TopK = -1, MaxTokens = null, MinTokens = 5, Temperature = 0, Logprobs = -1, Seed = -7 }.Validate();
    }

    [TestMethod]
    public void Validate_OutOfRange_NamesFieldValueAndLimit()
    {
        var p = new SamplingParams();
        Refused(p with { N = 0 }, "n", "0 must be at least 1");
        Refused(p with { N = 16385 }, "n", "16385 must be at most 16384");
        Refused(p with { N = 2, Temperature = 0 }, "n", "2 must be 1 with greedy sampling");
        Refused(p with { Temperature = float.NaN }, "temperature", "NaN must be finite and not negative");
        Refused(p with { Temperature = float.PositiveInfinity }, "temperature", "Infinity must be finite");
        Refused(p with { Temperature = -0.5f }, "temperature", "-0.5 must be finite and not negative");
        Refused(p with { TopK = -2 }, "top_k", "-2 must be 0 or -1");
        Refused(p with { TopP = 0 }, "top_p", "0 must be in (0, 1]");
        Refused(p with { TopP = 1.5f }, "top_p", "1.5 must be in (0, 1]");
        Refused(p with { TopP = float.NaN }, "top_p", "NaN must be in (0, 1]");
        Refused(p with { MinP = float.NaN }, "min_p", "NaN must be in [0, 1]");
        Refused(p with { MinP = -0.1f }, "min_p", "-0.1 must be in [0, 1]");
        Refused(p with { PresencePenalty = 2.5f }, "presence_penalty", "2.5 must be in [-2, 2]");
        Refused(p with { FrequencyPenalty = float.NaN }, "frequency_penalty", "NaN must be in [-2, 2]");
        Refused(p with { RepetitionPenalty = 0 }, "repetition_penalty", "0 must be finite and greater than 0");
        Refused(p with { RepetitionPenalty = float.PositiveInfinity }, "repetition_penalty", "Infinity must be finite");
        Refused(p with { MaxTokens = 0 }, "max_tokens", "0 must be at least 1");
        Refused(p with { MinTokens = -1 }, "min_tokens", "-1 must not be negative");
        Refused(p with { MinTokens = 17 }, "min_tokens", "17 must not exceed max_tokens, 16");
        Refused(p with { Logprobs = -2 }, "logprobs", "-2 must be -1");
        Refused(p with { Stop = ["a", ""] }, "stop", "an empty string");
        Refused(p with { StopTokenIds = [-5] }, "stop_token_ids", "-5 a token id must not be negative");
    }

    private static void Refused(SamplingParams p, string field, string message)
    {
        var error = Assert.ThrowsExactly<InvalidRequestException>(p.Validate);
        Assert.AreEqual(field, error.Field);
        StringAssert.StartsWith(error.Message, $"{field}: {message}");
    }
}
