using IlgpuLlm.Benchmarking;
using IlgpuLlm.Evaluation;

namespace IlgpuLlm.Bench.Quality;

/// <summary>What a model makes of the reference's answers: position p of a sequence foretells token p + 1.</summary>
internal sealed class ReferenceScores
{
    /// <param name="scorer">The model.</param>
    /// <param name="reference">The answers.</param>
    /// <param name="hasDistributions">Whether the reference has another model's distributions.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public ReferenceScores(TokenScorer scorer, QualityReference reference, bool hasDistributions, CancellationToken cancellationToken)
    {
        var scores = scorer.Score(reference.Sequences, cancellationToken: cancellationToken);
        int numSame = 0, numPositions = 0;
        double nll = 0;
        List<double> divergences = [];
        for (int q = 0; q < scores.Count; q++)
        {
            var tokens = reference.Sequences[q];
            var kl = hasDistributions ? scorer.KlDivergence(tokens, reference.Distributions[q]) : null;
            for (int p = reference.PromptLengths[q] - 1; p < tokens.Count - 1; p++)
            {
                numPositions++;
                numSame += scores[q].Top1TokenIds[p] == tokens[p + 1] ? 1 : 0;
                nll -= scores[q].Logprobs[p];
                if (kl is not null)
                    divergences.Add(kl[p]);
            }
        }
        Top1Percent = 100.0 * numSame / numPositions;
        Perplexity = Math.Exp(nll / numPositions);
        MeanKl = hasDistributions ? Statistics.Mean(divergences) : null;
        MaxKl = hasDistributions ? divergences.Max() : null;
    }

    /// <summary>Positions where the likeliest token is the answer's.</summary>
    public double Top1Percent { get; }

    /// <summary>Of the answers' tokens.</summary>
    public double Perplexity { get; }

    /// <summary>In nats; null without distributions.</summary>
    public double? MeanKl { get; }

    /// <summary>Of one position.</summary>
    public double? MaxKl { get; }
}
