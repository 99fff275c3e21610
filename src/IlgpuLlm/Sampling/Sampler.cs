using System.Numerics;
using System.Numerics.Tensors;
using IlgpuLlm.Kernels;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Sampling;

/// <summary>
/// Chooses a token from a row of logits, in vLLM's order: minimum length, penalties, temperature, min-p, top-k, top-p, draw. Allocates nothing.
/// Used by one thread.
/// </summary>
internal sealed class Sampler(int vocabSize)
{
    // Bounds of Philox.Gumbel: u is in [2^-33, 1 - 2^-33].
    private const double SmallestGumbel = -3.14, LargestGumbel = 22.9;

    private readonly int[] _candidates = new int[vocabSize];
    private readonly float[] _values = new float[vocabSize];
    private readonly int[] _counts = new int[vocabSize];

    /// <summary>The next token of a request.</summary>
    /// <param name="logits">[vocabSize]; overwritten.</param>
    /// <param name="request">Its parameters, seed and tokens so far.</param>
    /// <param name="error">What is wrong with the logits, or null.</param>
    /// <returns>The token; negative with an error.</returns>
    public int Sample(Span<float> logits, Request request, out string? error)
    {
        var sampling = request.Sampling;
        error = null;
        if (request.NumOutputTokens < sampling.MinTokens)
            ForbidStopping(logits, request);
        if (sampling.RepetitionPenalty != 1 || sampling.PresencePenalty != 0 || sampling.FrequencyPenalty != 0)
            ApplyPenalties(logits, request);
        int best = TensorPrimitives.IndexOfMax(logits);
        float max = logits[best];
        if (!float.IsFinite(max))
        {
            error = NotFinite(best, max);
            return -1;
        }
        if (sampling.IsGreedy)
            return best;
        float inverseTemperature = 1 / Math.Max(sampling.Temperature, SamplingParams.SmallestTemperature);
        int count = SelectCandidates(logits, max, inverseTemperature, sampling);
        return Draw(count, request.Seed, request.NumOutputTokens);
    }

    /// <summary>What is wrong if the largest logit is not a number to choose by.</summary>
    public static string NotFinite(int tokenId, float logit) =>
        $"the model's logits are not finite (token {tokenId}: {logit}); a float16 overflow, perhaps: try --dtype float32";

    private static void ForbidStopping(Span<float> logits, Request request)
    {
        if (!request.Sampling.IgnoreEos)
        {
            foreach (int id in request.EosTokenIds)
                logits[id] = float.NegativeInfinity;
        }
        foreach (int id in request.StopTokenIds)
            logits[id] = float.NegativeInfinity;
    }

    private void ApplyPenalties(Span<float> logits, Request request)
    {
        var sampling = request.Sampling;
        // A count of 0 is "not seen"; a token of the prompt alone counts 1, each appearance in the output 2.
        foreach (int id in request.TokenIds[..request.NumPromptTokens])
            _counts[id] = 1;
        foreach (int id in request.OutputTokenIds)
            _counts[id] += 2;
        foreach (int id in request.TokenIds)
        {
            int count = _counts[id];
            if (count == 0)
                continue; // done at its first appearance
            _counts[id] = 0;
            float logit = logits[id];
            logit = logit > 0 ? logit / sampling.RepetitionPenalty : logit * sampling.RepetitionPenalty;
            int generated = count / 2;
            logits[id] = generated == 0 ? logit : logit - sampling.FrequencyPenalty * generated - sampling.PresencePenalty;
        }
    }

    /// <summary>Fills <see cref="_candidates"/> and <see cref="_values"/> with the tokens that the filters leave and their scaled logits, max at 0.</summary>
    private int SelectCandidates(ReadOnlySpan<float> logits, float max, float inverseTemperature, SamplingParams sampling)
    {
        double floor = sampling.MinP > 0 ? Math.Log(sampling.MinP) : double.NegativeInfinity;
        // A value below this cannot be drawn. Top-p needs the mass of the whole tail, so it sees those values too.
        if (sampling.TopP == 1)
            floor = Math.Max(floor, SmallestGumbel - LargestGumbel);
        int count = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            float value = (logits[id] - max) * inverseTemperature;
            if (value >= floor && value > float.NegativeInfinity)
            {
                _candidates[count] = id;
                _values[count++] = value;
            }
        }
        if (sampling.TopK > 0 && sampling.TopK < count)
            count = KeepTopK(count, sampling.TopK);
        return sampling.TopP < 1 ? KeepTopP(count, sampling.TopP) : count;
    }

    /// <summary>Keeps the k largest values and, as vLLM does, those equal to the k-th.</summary>
    private int KeepTopK(int count, int k)
    {
        float threshold = KthLargest(count, k);
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (_values[i] >= threshold)
            {
                _candidates[kept] = _candidates[i];
                _values[kept++] = _values[i];
            }
        }
        return kept;
    }

    /// <summary>The k-th largest of the first <paramref name="count"/> values.</summary>
    private float KthLargest(int count, int k)
    {
        // Values are <= 0, so their bit patterns as unsigned integers grow as the values fall: a binary search over patterns finds the k-th largest
        // in 31 counting passes, in place and without another buffer.
        uint low = BitConverter.SingleToUInt32Bits(-0f), high = BitConverter.SingleToUInt32Bits(float.NegativeInfinity);
        while (low < high)
        {
            uint middle = low + (high - low) / 2;
            if (CountAtLeast(_values.AsSpan(0, count), BitConverter.UInt32BitsToSingle(middle)) >= k)
                high = middle;
            else
                low = middle + 1;
        }
        return BitConverter.UInt32BitsToSingle(low);
    }

    private static int CountAtLeast(ReadOnlySpan<float> values, float threshold)
    {
        var counts = Vector<int>.Zero;
        int i = 0;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
            counts -= Vector.GreaterThanOrEqual(new Vector<float>(values[i..]), new Vector<float>(threshold));
        int count = Vector.Sum(counts);
        for (; i < values.Length; i++)
            count += values[i] >= threshold ? 1 : 0;
        return count;
    }

    /// <summary>Keeps the likeliest candidates until their probabilities, normalised over the candidates, reach p; ties go to the lower id.</summary>
    private int KeepTopP(int count, float p)
    {
        double total = 0;
        for (int i = 0; i < count; i++)
            total += Math.Exp(_values[i]);
        // Tokens this unlikely have less than 1 - p of the mass together, so none of them is kept: drop them before sorting.
        double negligible = Math.Log(total * (1 - (double)p) / count) - 1e-6;
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (_values[i] >= negligible)
            {
                _candidates[kept] = _candidates[i];
                _values[kept++] = -_values[i];
            }
        }
        // Ascending in -value. Introsort is not stable, so ties are put in order of id afterwards.
        MemoryExtensions.Sort(_values.AsSpan(0, kept), _candidates.AsSpan(0, kept));
        SortTies(kept);
        double mass = 0, limit = p * total;
        int end = 0;
        while (end < kept)
        {
            _values[end] = -_values[end];
            mass += Math.Exp(_values[end++]);
            if (mass >= limit)
                break;
        }
        return end;
    }

    private void SortTies(int count)
    {
        for (int start = 0; start < count;)
        {
            int end = start + 1;
            while (end < count && _values[end] == _values[start])
                end++;
            if (end - start > 1)
                MemoryExtensions.Sort(_candidates.AsSpan(start, end - start));
            start = end;
        }
    }

    private int Draw(int count, ulong seed, int outputPosition)
    {
        // Only values within the Gumbel range of the best score so far can still win: most tokens cost no random number.
        int best = -1;
        double bestScore = double.NegativeInfinity;
        for (int i = 0; i < count; i++)
        {
            if (_values[i] + LargestGumbel < bestScore)
                continue;
            double score = _values[i] + Philox.Gumbel(seed, outputPosition, _candidates[i]);
            if (score > bestScore || (score == bestScore && _candidates[i] < best))
            {
                bestScore = score;
                best = _candidates[i];
            }
        }
        return best;
    }
}
