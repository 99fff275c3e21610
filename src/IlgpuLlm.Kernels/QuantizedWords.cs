namespace IlgpuLlm.Kernels;

/// <summary>What the eight codes of a checkpoint's word are of.</summary>
public enum QuantizedWordLayout
{
    /// <summary>Neighbouring outputs of one input, in the order of <see cref="QuantizedWords.OutputOfNibble"/>: AutoAWQ's GEMM layout, [inFeatures, outFeatures / 8].</summary>
    Outputs,

    /// <summary>Neighbouring inputs of one output, the first one in the lowest bits: AutoGPTQ's layout, [inFeatures / 8, outFeatures].</summary>
    Inputs,
}

/// <summary>
/// A matrix of 4-bit codes in the words of 32 bits that checkpoints hold, eight codes each; inputs in order. What it stands for is said at
/// <see cref="QuantizedRows"/>. Valid as long as the memory is that it was made of.
/// </summary>
public readonly ref struct QuantizedWords
{
    /// <summary>Codes in a word.</summary>
    public const int CodesPerWord = 8;

    /// <summary>The output of a word of outputs, counted from its first, that each four bits are of, from the lowest on.</summary>
    public static ReadOnlySpan<byte> OutputOfNibble => [0, 2, 4, 6, 1, 3, 5, 7];

    /// <summary>How codes lie in words.</summary>
    public required QuantizedWordLayout Layout { get; init; }

    /// <summary>Outputs (rows), a multiple of 8.</summary>
    public required int OutFeatures { get; init; }

    /// <summary>In the shape that <see cref="Layout"/> says.</summary>
    public required ReadOnlySpan<uint> Codes { get; init; }

    /// <summary>[numGroups, outFeatures / 8]: zero points of neighbouring outputs, in their order or, with <see cref="QuantizedWordLayout.Outputs"/>, in that of the codes.</summary>
    public required ReadOnlySpan<uint> Zeros { get; init; }

    /// <summary>1 where the words hold zero points less one, which wraps around within four bits; otherwise 0.</summary>
    public int ZeroAddend { get; init; }

    /// <summary>[numGroups, outFeatures].</summary>
    public required ReadOnlySpan<Half> Scales { get; init; }
}
