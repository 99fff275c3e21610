using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How four neighbouring logits are read; -infinity stands for those behind the vocabulary's end.</summary>
internal interface ILogitsFormat
{
    static abstract Float4 Load(ArrayView<float> logits, long row, int tokenId, int vocabSize);
}

/// <summary>Rows of a multiple of four logits, 16-byte aligned.</summary>
internal readonly struct AlignedLogits : ILogitsFormat
{
    public static Float4 Load(ArrayView<float> logits, long row, int tokenId, int vocabSize) => Chunks.LoadVector(logits, row + tokenId);
}

/// <summary>Rows of any length.</summary>
internal readonly struct UnalignedLogits : ILogitsFormat
{
    public static Float4 Load(ArrayView<float> logits, long row, int tokenId, int vocabSize) => new()
    {
        X = logits[row + tokenId],
        Y = tokenId + 1 < vocabSize ? logits[row + tokenId + 1] : float.NegativeInfinity,
        Z = tokenId + 2 < vocabSize ? logits[row + tokenId + 2] : float.NegativeInfinity,
        W = tokenId + 3 < vocabSize ? logits[row + tokenId + 3] : float.NegativeInfinity,
    };
}

/// <summary>What a lane does with its tokens of a row; passed by value so that it stays in registers.</summary>
internal interface IRowPass<TSelf>
    where TSelf : unmanaged, IRowPass<TSelf>
{
    /// <summary>Takes four tokens: <paramref name="tokenId"/>, a multiple of 4, and those after it, with their scaled differences to the largest logit.</summary>
    static abstract TSelf Visit(TSelf pass, int tokenId, Float4 values);
}

/// <summary>
/// The tokens that can be drawn: values from a floor on, of these the ones that rank before a bound (larger, or as large with a lower id). The floor stands
/// for min-p and top-k.
/// </summary>
internal struct Candidates
{
    public float Floor, BoundValue;
    public int BoundId;

    public static Candidates From(float floor) => new() { Floor = floor, BoundValue = float.NegativeInfinity };

    // Without short circuits, which would become branches that lanes take differently.
    public static bool Contain(Candidates candidates, int tokenId, float value) =>
        value >= candidates.Floor & (value > candidates.BoundValue | (value == candidates.BoundValue & tokenId < candidates.BoundId));

    /// <summary>The value, or -infinity if it cannot be drawn.</summary>
    public static float Filter(Candidates candidates, int tokenId, float value) =>
        Contain(candidates, tokenId, value) ? value : float.NegativeInfinity;
}

/// <summary>How many values are at or above a threshold, and the values next to it on both sides.</summary>
internal struct CountPass : IRowPass<CountPass>, IReduction<CountPass>
{
    public float Threshold;
    public int Count;
    public float LeastAbove, LargestBelow;

    public static CountPass At(float threshold) =>
        new() { Threshold = threshold, LeastAbove = float.PositiveInfinity, LargestBelow = float.NegativeInfinity };

    public static CountPass Visit(CountPass pass, int tokenId, Float4 values) =>
        Add(Add(Add(Add(pass, values.X), values.Y), values.Z), values.W);

    public static CountPass Combine(CountPass left, CountPass right) => new()
    {
        Threshold = left.Threshold,
        Count = left.Count + right.Count,
        LeastAbove = IntrinsicMath.Min(left.LeastAbove, right.LeastAbove),
        LargestBelow = IntrinsicMath.Max(left.LargestBelow, right.LargestBelow),
    };

    private static CountPass Add(CountPass pass, float value)
    {
        bool isAbove = value >= pass.Threshold;
        pass.Count += isAbove ? 1 : 0;
        pass.LeastAbove = isAbove ? IntrinsicMath.Min(pass.LeastAbove, value) : pass.LeastAbove;
        pass.LargestBelow = isAbove ? pass.LargestBelow : IntrinsicMath.Max(pass.LargestBelow, value);
        return pass;
    }
}

/// <summary>The candidates' probability mass, exp(value) added up in double precision.</summary>
internal struct MassPass : IRowPass<MassPass>
{
    // The largest value is 0: a vocabulary of less likely tokens would not change the last bits of the sum.
    private const float Negligible = -50f;

    public Candidates Candidates;
    public double Mass;

    public static MassPass Visit(MassPass pass, int tokenId, Float4 values)
    {
        if (IntrinsicMath.Max(IntrinsicMath.Max(values.X, values.Y), IntrinsicMath.Max(values.Z, values.W)) < pass.Candidates.Floor)
            return pass;
        return Add(Add(Add(Add(pass, tokenId, values.X), tokenId + 1, values.Y), tokenId + 2, values.Z), tokenId + 3, values.W);
    }

    private static MassPass Add(MassPass pass, int tokenId, float value)
    {
        if (value > Negligible && Candidates.Contain(pass.Candidates, tokenId, value))
            pass.Mass += DeviceMath.Exp((double)value);
        return pass;
    }
}

/// <summary>Adds doubles.</summary>
internal readonly struct DoubleSum : IReduction<double>
{
    public static double Combine(double left, double right) => left + right;
}

/// <summary>Takes the larger one.</summary>
internal readonly struct LongMax : IReduction<long>
{
    public static long Combine(long left, long right) => IntrinsicMath.Max(left, right);
}

/// <summary>The best score that estimates give, its token, and the second best.</summary>
internal struct TopScores : IReduction<TopScores>
{
    public float Best, Second;
    public int TokenId;

    public static TopScores Combine(TopScores left, TopScores right)
    {
        bool isLeft = left.Best >= right.Best;
        return new()
        {
            Best = isLeft ? left.Best : right.Best,
            Second = IntrinsicMath.Max(isLeft ? right.Best : left.Best, IntrinsicMath.Max(left.Second, right.Second)),
            TokenId = isLeft ? left.TokenId : right.TokenId,
        };
    }
}

/// <summary>Scores the candidates, value + Gumbel variate, by estimates. One call of Philox serves four tokens.</summary>
internal struct EstimatePass : IRowPass<EstimatePass>
{
    /// <summary>Above every variate: u is at most 1 - 2^-33.</summary>
    public const float LargestGumbel = 22.9f;

    public Candidates Candidates;
    public ulong Seed;
    public uint OutputPosition;
    public TopScores Scores;

    public static EstimatePass Visit(EstimatePass pass, int tokenId, Float4 values)
    {
        float x = Candidates.Filter(pass.Candidates, tokenId, values.X), y = Candidates.Filter(pass.Candidates, tokenId + 1, values.Y);
        float z = Candidates.Filter(pass.Candidates, tokenId + 2, values.Z), w = Candidates.Filter(pass.Candidates, tokenId + 3, values.W);
        // Cannot become the best any more: no random numbers needed.
        if (IntrinsicMath.Max(IntrinsicMath.Max(x, y), IntrinsicMath.Max(z, w)) + LargestGumbel < pass.Scores.Best)
            return pass;
        var words = Philox.Generate(pass.Seed, (uint)tokenId >> 2, pass.OutputPosition);
        pass.Scores = Add(pass.Scores, tokenId, x, words.X);
        pass.Scores = Add(pass.Scores, tokenId + 1, y, words.Y);
        pass.Scores = Add(pass.Scores, tokenId + 2, z, words.Z);
        pass.Scores = Add(pass.Scores, tokenId + 3, w, words.W);
        return pass;
    }

    private static TopScores Add(TopScores scores, int tokenId, float value, uint word)
    {
        float score = value + DeviceMath.GumbelEstimate(word);
        bool isBest = score > scores.Best;
        return new()
        {
            Best = isBest ? score : scores.Best,
            Second = IntrinsicMath.Max(scores.Second, isBest ? scores.Best : score),
            TokenId = isBest ? tokenId : scores.TokenId,
        };
    }
}

/// <summary>The best exact score; of equal ones that of the lowest id.</summary>
internal struct BestScore : IReduction<BestScore>
{
    public double Score;
    public long TokenId; // as wide as the score: ILGPU refuses structs with padding

    public static BestScore Combine(BestScore left, BestScore right) =>
        right.Score > left.Score || (right.Score == left.Score && right.TokenId < left.TokenId) ? right : left;
}
