namespace IlgpuLlm.Quantization;

/// <summary>A model cannot be quantized as asked for: its shape, its values, the calibration's text or the output folder do not allow it.</summary>
public sealed class QuantizationException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="message">What is wrong: the value and the limit.</param>
    /// <param name="innerException">The cause, if another error is.</param>
    public QuantizationException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
