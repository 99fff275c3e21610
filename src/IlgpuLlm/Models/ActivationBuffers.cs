using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>The model's F32 activations for the largest batch, reused by every layer.</summary>
internal sealed class ActivationBuffers : IDisposable
{
    public ActivationBuffers(Backend backend, ModelConfig config, AttentionShape attention, int maxTokens, int maxLogits)
    {
        DeviceBuffer Rows(long rows, int width) => backend.Allocate(ElementType.F32, rows * width);
        Hidden = Rows(maxTokens, config.HiddenSize);
        Normed = Rows(maxTokens, config.HiddenSize);
        Delta = Rows(maxTokens, config.HiddenSize);
        Qkv = Rows(maxTokens, attention.QkvWidth);
        Attention = Rows(maxTokens, attention.QueryWidth);
        GateUp = Rows(maxTokens, 2 * config.IntermediateSize);
        Mlp = Rows(maxTokens, config.IntermediateSize);
        Gathered = Rows(maxLogits, config.HiddenSize);
        Logits = Rows(maxLogits, config.VocabSize);
    }

    /// <summary>The residual stream: [maxTokens, hidden].</summary>
    public DeviceBuffer Hidden { get; }

    /// <summary>Its normalised form: [maxTokens, hidden].</summary>
    public DeviceBuffer Normed { get; }

    /// <summary>What a block adds to the residual stream: [maxTokens, hidden].</summary>
    public DeviceBuffer Delta { get; }
    public DeviceBuffer Qkv { get; }
    public DeviceBuffer Attention { get; }
    public DeviceBuffer GateUp { get; }
    public DeviceBuffer Mlp { get; }

    /// <summary>The rows whose logits are wanted: [maxLogits, hidden].</summary>
    public DeviceBuffer Gathered { get; }
    public DeviceBuffer Logits { get; }

    /// <summary>The bytes that the constructor allocates.</summary>
    public static long ByteLength(ModelConfig config, AttentionShape attention, int maxTokens, int maxLogits) =>
        sizeof(float) * (maxTokens * (3L * config.HiddenSize + attention.QkvWidth + attention.QueryWidth + 3L * config.IntermediateSize)
            + maxLogits * ((long)config.HiddenSize + config.VocabSize));

    public void Deconstruct(out DeviceBuffer hidden, out DeviceBuffer normed, out DeviceBuffer qkv, out DeviceBuffer attention,
        out DeviceBuffer gateUp, out DeviceBuffer mlp, out DeviceBuffer delta) =>
        (hidden, normed, qkv, attention, gateUp, mlp, delta) = (Hidden, Normed, Qkv, Attention, GateUp, Mlp, Delta);

    public void Dispose()
    {
        foreach (var buffer in (ReadOnlySpan<DeviceBuffer>)[Hidden, Normed, Delta, Qkv, Attention, GateUp, Mlp, Gathered, Logits])
            buffer.Dispose();
    }
}
