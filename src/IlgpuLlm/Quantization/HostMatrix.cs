namespace IlgpuLlm.Quantization;

/// <summary>A linear layer of a checkpoint as floats in the machine's memory.</summary>
/// <param name="module">Its name in the checkpoint.</param>
/// <param name="outFeatures">Rows.</param>
/// <param name="inFeatures">Columns.</param>
/// <param name="values">[outFeatures, inFeatures].</param>
/// <param name="bias">[outFeatures]; null: none.</param>
internal sealed class HostMatrix(string module, int outFeatures, int inFeatures, float[] values, float[]? bias)
{
    public string Module => module;

    public int OutFeatures => outFeatures;

    public int InFeatures => inFeatures;

    /// <summary>[outFeatures].</summary>
    public float[]? Bias => bias;

    /// <summary>[outFeatures, inFeatures].</summary>
    public ReadOnlyMemory<float> Values => values;

    /// <summary>[inFeatures].</summary>
    public ReadOnlySpan<float> Row(int row) => values.AsSpan(row * inFeatures, inFeatures);
}
