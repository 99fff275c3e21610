using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>A module of a checkpoint whose weight is a part of a matrix: q_proj of the matrix of q, k and v.</summary>
/// <param name="Module">Its name, <c>model.layers.0.self_attn.q_proj</c>; its tensors are <c>.weight</c>, <c>.qweight</c>, <c>.bias</c> and so on.</param>
/// <param name="Rows">Its output features.</param>
/// <param name="IsInLayer">Whether it is one of a layer's, which quantized checkpoints have codes of; the output layer is mostly one of floats.</param>
internal readonly record struct MatrixPart(string Module, int Rows, bool IsInLayer = true);

/// <summary>What a matrix becomes on the device.</summary>
/// <param name="Quantization">How it is quantized; null: elements of the model's type.</param>
/// <param name="InputOrder">Which feature each stored input is of; empty: in order.</param>
/// <param name="IsDequantized">Whether the checkpoint's codes are widened, because one matrix cannot hold them.</param>
internal sealed record MatrixForm(QuantizationFormat? Quantization, int[] InputOrder, bool IsDequantized = false)
{
    /// <summary>Elements of the model's type.</summary>
    public static MatrixForm Elements { get; } = new(null, []);
}
