namespace IlgpuLlm.Kernels.Cpu;

/// <summary>What quantized weights are multiplied with on the CPU.</summary>
public enum CpuActivations
{
    /// <summary>The activations themselves.</summary>
    Float32,

    /// <summary>
    /// Activations rounded to 8 bits with a scale for each 32 inputs of a row, so that products are of integers. Weights whose groups are not of a multiple
    /// of 32 inputs are multiplied as with <see cref="Float32"/>.
    /// </summary>
    Int8,
}
