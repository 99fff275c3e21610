using IlgpuLlm.Loading;

namespace IlgpuLlm.Quantization;

/// <summary>A layer as it is written.</summary>
/// <param name="Weights">Its norms and biases; its matrices give names and shapes.</param>
/// <param name="Codes">Of <see cref="LayerWeights.Matrices"/>, in order.</param>
internal sealed record QuantizedLayer(LayerWeights Weights, IReadOnlyList<QuantizedRowsBuffer> Codes) : IDisposable
{
    /// <summary>A layer that is rounded to nearest.</summary>
    public static QuantizedLayer Round(LayerWeights weights, Func<HostMatrix, QuantizedRowsBuffer> round) => new(weights, [.. weights.Matrices.Select(round)]);

    public void Dispose()
    {
        foreach (var codes in Codes)
            codes.Dispose();
    }
}
