using System.Numerics.Tensors;
using IlgpuLlm.Sampling;

namespace IlgpuLlm.Evaluation;

/// <summary>Collects <see cref="TokenScores"/> from the rows of a sequence, in any order.</summary>
internal sealed class ScoreBuffer(IReadOnlyList<int> tokenIds)
{
    private readonly float[] _logprobs = new float[Math.Max(0, tokenIds.Count - 1)];
    private readonly int[] _top1 = new int[tokenIds.Count];
    private readonly float[] _leads = new float[tokenIds.Count];

    public IReadOnlyList<int> TokenIds => tokenIds;

    /// <summary>Reads the logits of a position: [vocabSize].</summary>
    public void Read(int position, ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        float second = float.NegativeInfinity;
        for (int id = 0; id < logits.Length; id++)
        {
            if (id != best)
                second = Math.Max(second, logits[id]);
        }
        _top1[position] = best;
        _leads[position] = logits[best] - second;
        if (position < _logprobs.Length)
            _logprobs[position] = (float)(logits[tokenIds[position + 1]] - LogprobsCalculator.LogSumExp(logits));
    }

    public TokenScores ToScores() => new() { TokenIds = tokenIds, Logprobs = _logprobs, Top1TokenIds = _top1, Top1Leads = _leads };
}
