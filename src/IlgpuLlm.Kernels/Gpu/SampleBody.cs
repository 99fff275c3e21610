using ILGPU;
using Bits = ILGPU.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Chooses the token of one row of logits: a group a row. The row is read from the caches again and again (a pass over 32,000 logits takes a group about a
/// microsecond), and nothing is sorted: the k-th largest value is searched by counting, and top-p asks, of a drawn token, whether the mass that ranks before it
/// is less than p. If not, the draw is repeated among the tokens that rank before it, with the same variates: the best token that lies in the set wins, as if
/// all others had been taken out first. At p = 0.9 that is 1.1 draws.
/// </summary>
internal static class SampleBody<TFormat>
    where TFormat : struct, ILogitsFormat
{
    internal static void Body(
        ArrayView<float> logits, ArrayView<int> rows, ArrayView<int> banned, ArrayView<int> counts, ArrayView<int> sampled, int vocabSize)
    {
        int index = Grid.IdxX;
        var sampling = Parameters(rows, (long)index * SamplingRow.NumWords);
        if (sampling.Kind == SamplingKind.None)
            return;
        var scratch = SharedMemory.Allocate<long>(2 * GroupReduce.ScratchLength); // for elements of up to 16 bytes
        long start = (long)index * vocabSize;
        long countsStart = (long)sampling.CountsRow * vocabSize;
        if (countsStart >= 0)
            Penalize(logits, start, counts, countsStart, sampling, vocabSize);
        if (sampling.NumBanned > 0)
        {
            GroupOps.Barrier(); // a penalty of another lane must not bring a forbidden token back
            for (int i = Group.IdxX; i < sampling.NumBanned; i += Group.DimX)
                logits[start + banned[(long)index * SamplingRow.MaxBanned + i]] = float.NegativeInfinity;
            GroupOps.Barrier();
        }

        // One number for both: the larger logit wins, of equal ones the lower id.
        long best = GroupReduce.All<long, LongMax>(Largest(logits, start, vocabSize), scratch);
        int token = ~(int)best;
        int order = (int)(best >> 32);
        uint bits = (uint)(order ^ ((order >> 31) & 0x7FFFFFFF));
        if ((bits & 0x7FFFFFFF) >= 0x7F800000)
        {
            Store(sampled, sampling.Output, -1 - token, (int)bits);
            return;
        }
        if (sampling.Kind == SamplingKind.Random)
        {
            var row = new Row { Logits = logits, Start = start, VocabSize = vocabSize, Max = Bits.IntAsFloat(bits), Scale = sampling.InverseTemperature };
            token = Draw(row, sampling, token, scratch);
        }
        Store(sampled, sampling.Output, token, 0);
        if (countsStart >= 0 && Group.IdxX == 0)
            counts[countsStart + token] += 2;
    }

    /// <summary>Reads a row word by word: a view of whole rows would have to begin at a multiple of a row's size.</summary>
    private static SamplingRow Parameters(ArrayView<int> words, long at) => new()
    {
        Kind = (SamplingKind)words[at],
        Output = words[at + 1],
        InverseTemperature = Bits.IntAsFloat((uint)words[at + 2]),
        TopK = words[at + 3],
        TopP = Bits.IntAsFloat((uint)words[at + 4]),
        Floor = Bits.IntAsFloat((uint)words[at + 5]),
        SeedLow = (uint)words[at + 6],
        SeedHigh = (uint)words[at + 7],
        OutputPosition = words[at + 8],
        CountsRow = words[at + 9],
        RepetitionPenalty = Bits.IntAsFloat((uint)words[at + 10]),
        PresencePenalty = Bits.IntAsFloat((uint)words[at + 11]),
        FrequencyPenalty = Bits.IntAsFloat((uint)words[at + 12]),
        NumBanned = words[at + 13],
    };

    private static void Store(ArrayView<int> sampled, int output, int token, int bits)
    {
        if (Group.IdxX != 0)
            return;
        sampled[Backend.SampledWidth * (long)output] = token;
        sampled[Backend.SampledWidth * (long)output + 1] = bits;
    }

    /// <summary>Each lane changes the logits that it reads afterwards.</summary>
    private static void Penalize(ArrayView<float> logits, long start, ArrayView<int> counts, long countsStart, SamplingRow row, int vocabSize)
    {
        for (int quad = 4 * Group.IdxX; quad < vocabSize; quad += 4 * Group.DimX)
        {
            for (int id = quad; id < IntrinsicMath.Min(quad + 4, vocabSize); id++)
            {
                int count = counts[countsStart + id];
                if (count == 0)
                    continue;
                float logit = logits[start + id];
                logit = logit > 0f ? logit / row.RepetitionPenalty : logit * row.RepetitionPenalty;
                int generated = count / 2;
                if (generated > 0)
                {
                    // The product is rounded by way of double: ptxas would otherwise fuse it with the subtraction.
                    logit -= (float)((double)row.FrequencyPenalty * generated);
                    logit -= row.PresencePenalty;
                }
                logits[start + id] = logit;
            }
        }
    }

    /// <summary>This lane's largest logit, as an integer of the same order, and its id's complement below it. NaN is the largest of all.</summary>
    private static long Largest(ArrayView<float> logits, long start, int vocabSize)
    {
        int order = int.MinValue, token = 0;
        int id = 4 * Group.IdxX, stride = 4 * Group.DimX;
        for (; id + 3 * stride < vocabSize; id += 4 * stride)
        {
            // Four loads in flight a lane: a greedy row is nothing but this pass.
            var a = TFormat.Load(logits, start, id, vocabSize);
            var b = TFormat.Load(logits, start, id + stride, vocabSize);
            var c = TFormat.Load(logits, start, id + 2 * stride, vocabSize);
            var d = TFormat.Load(logits, start, id + 3 * stride, vocabSize);
            (order, token) = Larger(order, token, id, a);
            (order, token) = Larger(order, token, id + stride, b);
            (order, token) = Larger(order, token, id + 2 * stride, c);
            (order, token) = Larger(order, token, id + 3 * stride, d);
        }
        for (; id < vocabSize; id += stride)
            (order, token) = Larger(order, token, id, TFormat.Load(logits, start, id, vocabSize));
        return ((long)order << 32) | (uint)~token;
    }

    private static (int Order, int Token) Larger(int order, int token, int id, Float4 values)
    {
        (order, token) = Larger(order, token, id, values.X);
        (order, token) = Larger(order, token, id + 1, values.Y);
        (order, token) = Larger(order, token, id + 2, values.Z);
        return Larger(order, token, id + 3, values.W);
    }

    private static (int Order, int Token) Larger(int order, int token, int id, float value)
    {
        int bits = (int)Bits.FloatAsInt(value);
        int valueOrder = bits ^ ((bits >> 31) & 0x7FFFFFFF);
        if ((bits & 0x7FFFFFFF) > 0x7F800000)
            valueOrder = int.MaxValue;
        return valueOrder > order ? (valueOrder, id) : (order, token);
    }

    private static TPass Scan<TPass>(Row row, TPass pass)
        where TPass : unmanaged, IRowPass<TPass>
    {
        for (int id = 4 * Group.IdxX; id < row.VocabSize; id += 4 * Group.DimX)
        {
            var logits = TFormat.Load(row.Logits, row.Start, id, row.VocabSize);
            pass = TPass.Visit(pass, id, new()
            {
                X = (logits.X - row.Max) * row.Scale,
                Y = (logits.Y - row.Max) * row.Scale,
                Z = (logits.Z - row.Max) * row.Scale,
                W = (logits.W - row.Max) * row.Scale,
            });
        }
        return pass;
    }

    private static int Draw(Row row, SamplingRow sampling, int likeliest, ArrayView<long> scratch)
    {
        var candidates = Candidates.From(sampling.TopK > 0 ? KthLargest(row, sampling.Floor, sampling.TopK, scratch) : sampling.Floor);
        ulong seed = ((ulong)sampling.SeedHigh << 32) | sampling.SeedLow;
        bool hasTopP = sampling.TopP < 1f;
        double limit = -1; // not known yet
        int token = likeliest;
        // Written so that each pass appears once: everything is inlined, and compiling takes seconds otherwise.
        while (true)
        {
            if (!hasTopP || limit >= 0)
            {
                token = DrawAmong(row, candidates, seed, (uint)sampling.OutputPosition, likeliest, scratch);
                if (!hasTopP)
                    return token;
                candidates.BoundValue = Value(row, token);
                candidates.BoundId = token;
            }
            double mass = Mass(row, candidates, scratch);
            if (limit < 0)
                limit = sampling.TopP * mass;
            else if (mass < limit)
                return token;
        }
    }

    /// <summary>The k-th largest value from the floor on, or the floor if there are not more than k.</summary>
    private static float KthLargest(Row row, float floor, int k, ArrayView<long> scratch)
    {
        // The k-th largest is in [low, high]. Each count halves that range and draws it together to values of tokens: about ten counts, as there are no
        // tokens between the k-th and the next. The first one is of all candidates.
        float low = floor, high = 0f, middle = floor;
        while (low < high)
        {
            var count = Count(row, middle, scratch);
            if (middle == floor && count.Count <= k)
                return floor;
            if (count.Count >= k)
                low = count.LeastAbove;
            else
                high = count.LargestBelow;
            middle = low + (high - low) * 0.5f;
            if (middle <= low)
                middle = high;
        }
        return low;
    }

    private static float Value(Row row, int token) => (row.Logits[row.Start + token] - row.Max) * row.Scale;

    private static CountPass Count(Row row, float threshold, ArrayView<long> scratch) =>
        GroupReduce.All<CountPass, CountPass>(Scan(row, CountPass.At(threshold)), scratch.Cast<CountPass>());

    private static double Mass(Row row, Candidates candidates, ArrayView<long> scratch) =>
        GroupReduce.All<double, DoubleSum>(Scan(row, new MassPass { Candidates = candidates }).Mass, scratch.Cast<double>());

    /// <summary>The candidate of the best score.</summary>
    private static int DrawAmong(Row row, Candidates candidates, ulong seed, uint outputPosition, int likeliest, ArrayView<long> scratch)
    {
        // A lower bound of the best score, so that most lanes need few random numbers: the likeliest token's own, with room for errors. It is no candidate
        // only where the bound is one of several tokens as likely.
        float own = DeviceMath.GumbelEstimate(Philox.Word(seed, outputPosition, likeliest));
        float lowest = Candidates.Contain(candidates, likeliest, Value(row, likeliest)) ? own - 1f : float.NegativeInfinity;
        var bound = new TopScores { Best = lowest, Second = float.NegativeInfinity, TokenId = likeliest };
        var estimate = Scan(row, new EstimatePass { Candidates = candidates, Seed = seed, OutputPosition = outputPosition, Scores = bound });
        var scores = GroupReduce.All<TopScores, TopScores>(estimate.Scores, scratch.Cast<TopScores>());
        float threshold = scores.Best - 2 * DeviceMath.GumbelError;
        if (scores.Second < threshold)
            return scores.TokenId;
        return DrawExactly(row, candidates, seed, outputPosition, threshold, scratch);
    }

    /// <summary>For when estimates cannot decide, once in ten thousand draws: exact scores of the candidates whose estimate reaches a threshold.</summary>
    private static int DrawExactly(Row row, Candidates candidates, ulong seed, uint outputPosition, float threshold, ArrayView<long> scratch)
    {
        var best = new BestScore { Score = double.NegativeInfinity, TokenId = long.MaxValue };
        for (int id = Group.IdxX; id < row.VocabSize; id += Group.DimX)
        {
            float value = Value(row, id);
            if (!Candidates.Contain(candidates, id, value) || value + EstimatePass.LargestGumbel < threshold)
                continue;
            uint word = Philox.Word(seed, outputPosition, id);
            if (value + DeviceMath.GumbelEstimate(word) >= threshold)
                best = BestScore.Combine(best, new() { Score = value + DeviceMath.Gumbel(word), TokenId = id });
        }
        return (int)GroupReduce.All<BestScore, BestScore>(best, scratch.Cast<BestScore>()).TokenId;
    }

    /// <summary>A row of logits and what makes them values: (logit - max) * scale.</summary>
    private struct Row
    {
        public ArrayView<float> Logits;
        public long Start;
        public int VocabSize;
        public float Max, Scale;
    }
}
