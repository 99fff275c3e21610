using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Execution;

/// <summary>Writes a request's parameters for <see cref="Backend.Sample"/>. What it computes in advance are the same numbers as the host's sampler has.</summary>
internal static class SamplingRows
{
    // Bounds of Gumbel variates: u is in [2^-33, 1 - 2^-33].
    private const double SmallestGumbel = -3.14, LargestGumbel = 22.9;

    /// <summary>Whether the device can choose the request's tokens. Log-probabilities need all logits on the host.</summary>
    public static bool CanSample(Request request) =>
        request.Sampling.Logprobs is null
        && (request.Sampling.MinTokens == 0 || request.EosTokenIds.Length + request.StopTokenIds.Length <= SamplingRow.MaxBanned);

    public static bool HasPenalties(Request request) =>
        request.Sampling is not { RepetitionPenalty: 1, PresencePenalty: 0, FrequencyPenalty: 0 };

    /// <summary>The row of a request, for the token after <paramref name="numOutputTokens"/> others.</summary>
    /// <param name="request">A request that <see cref="CanSample"/>.</param>
    /// <param name="numOutputTokens">How many tokens it has generated, those included that the host does not know yet.</param>
    /// <param name="output">Where the token goes.</param>
    /// <param name="countsRow">Its token counts, or <see cref="SamplingRow.NoCounts"/>.</param>
    /// <param name="banned">[16]: receives the tokens that must not come yet.</param>
    public static SamplingRow Create(Request request, int numOutputTokens, int output, int countsRow, Span<int> banned)
    {
        var sampling = request.Sampling;
        return new SamplingRow
        {
            Kind = sampling.IsGreedy ? SamplingKind.Greedy : SamplingKind.Random,
            Output = output,
            InverseTemperature = 1 / Math.Max(sampling.Temperature, SamplingParams.SmallestTemperature),
            TopK = Math.Max(sampling.TopK, 0),
            TopP = sampling.TopP,
            Floor = Floor(sampling),
            SeedLow = (uint)request.Seed,
            SeedHigh = (uint)(request.Seed >> 32),
            OutputPosition = numOutputTokens,
            CountsRow = countsRow,
            RepetitionPenalty = sampling.RepetitionPenalty,
            PresencePenalty = sampling.PresencePenalty,
            FrequencyPenalty = sampling.FrequencyPenalty,
            NumBanned = numOutputTokens < sampling.MinTokens ? WriteBanned(request, banned) : 0,
        };
    }

    /// <summary>The least float that the sampler's bound, a double, lets pass.</summary>
    private static float Floor(SamplingParams sampling)
    {
        double floor = sampling.MinP > 0 ? Math.Log(sampling.MinP) : double.NegativeInfinity;
        if (sampling.TopP == 1)
            floor = Math.Max(floor, SmallestGumbel - LargestGumbel);
        float rounded = (float)floor;
        return Math.Max(rounded < floor ? MathF.BitIncrement(rounded) : rounded, -float.MaxValue);
    }

    private static int WriteBanned(Request request, Span<int> banned)
    {
        int count = 0;
        if (!request.Sampling.IgnoreEos)
        {
            foreach (int id in request.EosTokenIds)
                banned[count++] = id;
        }
        foreach (int id in request.StopTokenIds)
            banned[count++] = id;
        return count;
    }
}
