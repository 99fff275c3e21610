using IlgpuLlm.Models;

namespace IlgpuLlm.Quantization;

/// <summary>A decoder layer as floats in the machine's memory.</summary>
internal sealed record LayerWeights(
    float[] InputNorm, HostMatrix Query, HostMatrix Key, HostMatrix Value, HostMatrix Output, float[] PostAttentionNorm, HostMatrix Gate, HostMatrix Up, HostMatrix Down)
{
    /// <summary>The matrices, in the order in which a checkpoint holds them.</summary>
    public IReadOnlyList<HostMatrix> Matrices => [Query, Key, Value, Output, Gate, Up, Down];

    /// <summary>The matrices that are multiplied by the same rows.</summary>
    public HostMatrix[] Of(LayerInput input) => input switch
    {
        LayerInput.Qkv => [Query, Key, Value],
        LayerInput.Output => [Output],
        LayerInput.GateUp => [Gate, Up],
        _ => [Down],
    };

    /// <summary>The matrix of a module of the checkpoint.</summary>
    public HostMatrix Find(string module) => Matrices.First(matrix => matrix.Module == module);

    /// <summary>The same layer with another matrix in the place of the one of its name.</summary>
    public LayerWeights With(HostMatrix matrix)
    {
        HostMatrix Choose(HostMatrix own) => own.Module == matrix.Module ? matrix : own;
        return new LayerWeights(InputNorm, Choose(Query), Choose(Key), Choose(Value), Choose(Output), PostAttentionNorm, Choose(Gate), Choose(Up), Choose(Down));
    }
}
