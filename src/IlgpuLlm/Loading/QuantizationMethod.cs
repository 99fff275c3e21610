namespace IlgpuLlm.Loading;

/// <summary>Who quantized a checkpoint, which decides how its tensors are laid out.</summary>
public enum QuantizationMethod
{
    /// <summary>AWQ in AutoAWQ's GEMM layout: 4 bits, words of 8 outputs.</summary>
    Awq,

    /// <summary>GPTQ in AutoGPTQ's layout: 4 or 8 bits, words of inputs, and the group of every input.</summary>
    Gptq,
}
