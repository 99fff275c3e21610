namespace IlgpuLlm.Kernels;

/// <summary>
/// What kernels need to know of a ragged batch: the tokens of all sequences one after the other, prefill chunks and decodes mixed. The device
/// buffers are I32, sized for the largest batch, made once; the counts change with each step.
/// </summary>
public sealed class BatchMetadata
{
    /// <summary>The token ids: [numTokens].</summary>
    public required DeviceBuffer TokenIds { get; init; }

    /// <summary>Each token's position in its sequence: [numTokens]; -1 where a row only fills up a <see cref="DeviceGraph"/>'s batch.</summary>
    public required DeviceBuffer Positions { get; init; }

    /// <summary>Each token's row of the <see cref="RotaryTable"/>: [numTokens].</summary>
    public required DeviceBuffer RotaryRows { get; init; }

    /// <summary>The cache slot that each token's key and value go to: [numTokens]; -1 where a row only fills up a <see cref="DeviceGraph"/>'s batch.</summary>
    public required DeviceBuffer SlotMapping { get; init; }

    /// <summary>Each token's sequence in this batch, 0..numSeqs-1: [numTokens].</summary>
    public required DeviceBuffer TokenSequences { get; init; }

    /// <summary>Where each sequence's tokens begin, and the end of the last: [numSeqs + 1].</summary>
    public required DeviceBuffer QueryStartLoc { get; init; }

    /// <summary>Each sequence's length including this step's tokens: [numSeqs].</summary>
    public required DeviceBuffer SeqLens { get; init; }

    /// <summary>The blocks of each sequence in order: [numSeqs, maxBlocksPerSeq].</summary>
    public required DeviceBuffer BlockTables { get; init; }

    /// <summary>The rows whose logits are wanted: [numLogits].</summary>
    public required DeviceBuffer LogitsIndices { get; init; }

    /// <summary>The row length of <see cref="BlockTables"/> in this step; rows are packed.</summary>
    public required int MaxBlocksPerSeq { get; set; }

    /// <summary>Tokens in this step.</summary>
    public int NumTokens { get; set; }

    /// <summary>Sequences in this step.</summary>
    public int NumSeqs { get; set; }

    /// <summary>Rows whose logits are wanted in this step.</summary>
    public int NumLogits { get; set; }

    /// <summary>The most tokens that one sequence has in this step.</summary>
    public int MaxQueryLen { get; set; }

    /// <summary>The longest sequence of this step, its new tokens included.</summary>
    public int MaxSeqLen { get; set; }
}
