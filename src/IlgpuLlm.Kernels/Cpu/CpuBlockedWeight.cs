namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A matrix that is multiplied with floats, in panels that are cut into blocks of inputs.</summary>
public abstract unsafe class CpuBlockedWeight : CpuPanelWeight
{
    private protected CpuBlockedWeight(
        CpuThreadPool pool, PanelLayout layout, ElementType storage, bool hasBias, QuantizationFormat? quantization, ReadOnlySpan<int> inputOrder)
        : base(pool, layout, storage, hasBias, quantization, inputOrder)
    {
    }

    /// <summary>What inputs are multiplied with when they are packed: a power of two.</summary>
    internal virtual float InputScale => 1;

    /// <summary>A panel's block.</summary>
    internal abstract PanelBlock Block(int block, int panel);

    /// <summary>Adds the products of weights that the panels have no code for, of the features of some panels: [rows, outFeatures] += [rows, inFeatures] times them.</summary>
    internal virtual void AddOutliers(float* input, int rows, float* output, int firstPanel, int endPanel)
    {
    }
}
