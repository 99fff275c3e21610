namespace IlgpuLlm.Kernels;

/// <summary>What <see cref="Backend.Sample"/> needs to know of the rows of logits. The device buffers are I32, made once; their contents change.</summary>
public sealed class SamplingBatch
{
    /// <summary>A <see cref="SamplingRow"/> for each row of logits: [numRows, 14].</summary>
    public required DeviceBuffer Rows { get; init; }

    /// <summary>Tokens that a row must not choose, below the vocabulary's size: [numRows, 16].</summary>
    public required DeviceBuffer Banned { get; init; }

    /// <summary>How often each token was seen, by sequences with penalties: 1 if it is in the prompt, and 2 for each time in the output: [any, vocabSize].</summary>
    public required DeviceBuffer TokenCounts { get; init; }

    /// <summary>Tokens in the vocabulary.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Rows of logits.</summary>
    public int NumRows { get; set; }
}
