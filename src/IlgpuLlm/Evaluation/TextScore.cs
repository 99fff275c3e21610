namespace IlgpuLlm.Evaluation;

/// <summary>How well a model foretells a text.</summary>
/// <param name="MeanNll">The mean negative log-probability of the scored tokens, in nats.</param>
/// <param name="NumTokens">The scored tokens.</param>
/// <param name="NumWindows">The windows that the text was divided into.</param>
/// <param name="Seconds">What it took.</param>
public sealed record TextScore(double MeanNll, int NumTokens, int NumWindows, double Seconds)
{
    /// <summary>The exponential of <see cref="MeanNll"/>: among how many equally likely tokens the model would be as unsure.</summary>
    public double Perplexity => Math.Exp(MeanNll);

    /// <summary>Scored tokens a second.</summary>
    public double TokensPerSecond => NumTokens / Seconds;
}
