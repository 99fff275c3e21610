namespace IlgpuLlm.Quantization;

/// <summary>What was written.</summary>
/// <param name="ByteLength">The bytes of all tensors.</param>
/// <param name="CalibrationTokens">The tokens that inputs were measured on; 0: none were.</param>
/// <param name="PaddedFeatures">Zeros that the MLP's width was filled up with, to a multiple of the group size.</param>
/// <param name="Seconds">What it took.</param>
public sealed record QuantizationResult(long ByteLength, int CalibrationTokens, int PaddedFeatures, double Seconds);
