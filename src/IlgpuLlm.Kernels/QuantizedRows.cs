namespace IlgpuLlm.Kernels;

/// <summary>Rows of a quantized matrix as they are handed to a backend, whatever layout a checkpoint or a kernel has: w[r, k] = (code[r, k] - zero[r, g]) * scale[r, g], g = k / groupLength.</summary>
/// <param name="codes">[numRows, inFeatures], a code a byte, in the weight's own order of inputs.</param>
/// <param name="scales">[numRows, numGroups].</param>
/// <param name="zeros">[numRows, numGroups], from 0 to 2^bits - 1 (a file that stores one less wraps around within the bits).</param>
public readonly ref struct QuantizedRows(ReadOnlySpan<byte> codes, ReadOnlySpan<Half> scales, ReadOnlySpan<byte> zeros)
{
    /// <summary>[numRows, inFeatures], a code a byte.</summary>
    public ReadOnlySpan<byte> Codes { get; } = codes;

    /// <summary>[numRows, numGroups].</summary>
    public ReadOnlySpan<Half> Scales { get; } = scales;

    /// <summary>[numRows, numGroups].</summary>
    public ReadOnlySpan<byte> Zeros { get; } = zeros;
}
