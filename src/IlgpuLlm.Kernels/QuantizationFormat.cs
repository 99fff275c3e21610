namespace IlgpuLlm.Kernels;

/// <summary>How a matrix is quantized: codes of a few bits, and for each group of neighbouring inputs of a row a scale and a zero point: w = (code - zero) * scale.</summary>
public sealed record QuantizationFormat
{
    /// <summary>The <see cref="GroupSize"/> that makes a whole row one group.</summary>
    public const int WholeRow = -1;

    /// <summary>Describes a format.</summary>
    /// <param name="bits">4 or 8.</param>
    /// <param name="groupSize">The inputs of a group, or <see cref="WholeRow"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another number of bits, or no inputs.</exception>
    public QuantizationFormat(int bits, int groupSize)
    {
        if (bits is not (4 or 8))
            throw new ArgumentOutOfRangeException(nameof(bits), bits, "codes of 4 or 8 bits are supported");
        if (groupSize is not WholeRow and < 1)
            throw new ArgumentOutOfRangeException(nameof(groupSize), groupSize, $"a group has inputs, or is the whole row ({WholeRow})");
        Bits = bits;
        GroupSize = groupSize;
    }

    /// <summary>The bits of a code, 4 or 8. Codes are unsigned.</summary>
    public int Bits { get; }

    /// <summary>The inputs of a group, or <see cref="WholeRow"/>.</summary>
    public int GroupSize { get; }

    /// <summary>The inputs of a group in rows of <paramref name="inFeatures"/>.</summary>
    /// <exception cref="ArgumentException">Groups do not divide the row.</exception>
    public int GroupLength(int inFeatures)
    {
        int length = GroupSize == WholeRow ? inFeatures : GroupSize;
        return inFeatures % length == 0 ? length : throw new ArgumentException($"groups of {length} do not divide rows of {inFeatures}", nameof(inFeatures));
    }

    /// <summary>The groups of a row of <paramref name="inFeatures"/>.</summary>
    /// <exception cref="ArgumentException">Groups do not divide the row.</exception>
    public int NumGroups(int inFeatures) => inFeatures / GroupLength(inFeatures);
}
