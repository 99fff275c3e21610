using IlgpuLlm.Kernels;

namespace IlgpuLlm.Models;

/// <summary>The model's activations for the largest batch, reused by every layer. The residual stream and logits are F32.</summary>
internal sealed class ActivationBuffers : IDisposable
{
    public ActivationBuffers(Backend backend, ModelShape shape, int vocabSize, int maxTokens, int maxLogits)
    {
        var type = backend.ActivationType(shape);
        Hidden = backend.Allocate(ElementType.F32, (long)maxTokens * shape.HiddenSize);
        Normed = backend.Allocate(type, (long)maxTokens * shape.HiddenSize);
        Qkv = backend.Allocate(type, (long)maxTokens * shape.Attention.QkvWidth);
        Attention = backend.Allocate(type, (long)maxTokens * shape.Attention.QueryWidth);
        Mlp = backend.Allocate(type, (long)maxTokens * shape.IntermediateSize);
        Gathered = backend.Allocate(ElementType.F32, (long)maxLogits * shape.HiddenSize);
        Logits = backend.Allocate(ElementType.F32, (long)maxLogits * vocabSize);
    }

    /// <summary>The residual stream: [maxTokens, hidden].</summary>
    public DeviceBuffer Hidden { get; }

    /// <summary>Its normalised form: [maxTokens, hidden].</summary>
    public DeviceBuffer Normed { get; }
    public DeviceBuffer Qkv { get; }
    public DeviceBuffer Attention { get; }
    public DeviceBuffer Mlp { get; }

    /// <summary>The rows whose logits are wanted: [maxLogits, hidden].</summary>
    public DeviceBuffer Gathered { get; }
    public DeviceBuffer Logits { get; }

    /// <summary>The bytes that the constructor allocates.</summary>
    public static long ByteLength(Backend backend, ModelShape shape, int vocabSize, int maxTokens, int maxLogits)
    {
        var (attention, activation) = (shape.Attention, (long)backend.ActivationType(shape).SizeInBytes());
        return maxTokens * (activation * (shape.HiddenSize + attention.QkvWidth + attention.QueryWidth + shape.IntermediateSize) + sizeof(float) * (long)shape.HiddenSize)
            + maxLogits * sizeof(float) * ((long)shape.HiddenSize + vocabSize);
    }

    public void Deconstruct(out DeviceBuffer hidden, out DeviceBuffer normed, out DeviceBuffer qkv, out DeviceBuffer attention, out DeviceBuffer mlp) =>
        (hidden, normed, qkv, attention, mlp) = (Hidden, Normed, Qkv, Attention, Mlp);

    public void Dispose()
    {
        foreach (var buffer in (ReadOnlySpan<DeviceBuffer>)[Hidden, Normed, Qkv, Attention, Mlp, Gathered, Logits])
            buffer.Dispose();
    }
}
