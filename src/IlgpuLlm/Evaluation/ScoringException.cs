namespace IlgpuLlm.Evaluation;

/// <summary>The model gave no usable probabilities for given tokens: its logits are not finite.</summary>
public sealed class ScoringException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="message">Where, and what was there.</param>
    public ScoringException(string message)
        : base(message)
    {
    }
}
