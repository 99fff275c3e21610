using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Quantization;

/// <summary>Loads a <see cref="LlamaLayer"/> from floats in the machine's memory.</summary>
internal sealed class HostWeightSource(LayerWeights weights) : IWeightSource
{
    public int MaxConcurrentLayers => 1;

    public bool Contains(string name) => weights.Matrices.Any(matrix => $"{matrix.Module}.weight" == name);

    public void LoadRows(string name, LinearWeight target, int firstRow, int rows) =>
        throw new NotSupportedException($"{name}: a layer has matrices of modules only");

    public MatrixForm FormOf(IReadOnlyList<MatrixPart> parts, int inFeatures) => MatrixForm.Elements;

    public void LoadMatrix(IReadOnlyList<MatrixPart> parts, LinearWeight target, int firstRow)
    {
        foreach (var part in parts)
        {
            target.LoadFloats(firstRow, weights.Find(part.Module).Values);
            firstRow += part.Rows;
        }
    }

    public void LoadBias(string name, LinearWeight target, int first, int count) => target.LoadBias(first, weights.Find(name[..^".bias".Length]).Bias!);

    public void LoadVector(string name, Backend backend, DeviceBuffer target) =>
        backend.Upload(name.EndsWith("post_attention_layernorm.weight", StringComparison.Ordinal) ? weights.PostAttentionNorm : weights.InputNorm, target);

    public void VerifyAllUsed(IEnumerable<string> ignorable)
    {
        // A layer's weights are all there is.
    }

    public void Dispose()
    {
        // Nothing is held.
    }
}
