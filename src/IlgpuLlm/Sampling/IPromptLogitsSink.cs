namespace IlgpuLlm.Sampling;

/// <summary>Takes the logits of a prompt as the engine computes them: every position once, in order, on the thread that steps the engine.</summary>
internal interface IPromptLogitsSink
{
    /// <summary>Takes neighbouring positions.</summary>
    /// <param name="firstPosition">The first one; its logits say what follows the prompt's token there.</param>
    /// <param name="numPositions">How many.</param>
    /// <param name="logits">[numPositions, vocabSize], valid until the method returns.</param>
    void Add(int firstPosition, int numPositions, ReadOnlyMemory<float> logits);
}
