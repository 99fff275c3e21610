using IlgpuLlm.Kernels;

namespace IlgpuLlm.Models;

/// <summary>A matrix of a layer, by what it is multiplied by.</summary>
internal enum LayerInput
{
    /// <summary>The normalised residual stream, before query, key and value.</summary>
    Qkv,

    /// <summary>The attention's result, before the output projection.</summary>
    Output,

    /// <summary>The normalised residual stream, before gate and up.</summary>
    GateUp,

    /// <summary>The MLP's inner state, before the down projection.</summary>
    Down,
}

/// <summary>Sees what the matrices of a layer are multiplied by, while the layer runs.</summary>
internal interface ILayerObserver
{
    /// <summary>Told before the product is queued.</summary>
    /// <param name="input">Which.</param>
    /// <param name="rows">[numRows, inFeatures], and room for more.</param>
    /// <param name="numRows">Tokens of the batch.</param>
    /// <returns>Whether the layer goes on.</returns>
    bool Observe(LayerInput input, DeviceBuffer rows, int numRows);
}
