using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Engine;

/// <summary>What an engine runs, and on what.</summary>
public sealed record EngineInfo
{
    /// <summary>The model's folder.</summary>
    public required string ModelFolder { get; init; }

    /// <summary>The model's shape.</summary>
    public required ModelConfig Config { get; init; }

    /// <summary>What the model's generation_config.json says; nothing where there is none.</summary>
    public required GenerationConfig GenerationConfig { get; init; }

    /// <summary>The number of weights.</summary>
    public required long NumParameters { get; init; }

    /// <summary>The type of the weights that are not quantized.</summary>
    public required ElementType DType { get; init; }

    /// <summary>The type of the KV cache; <see cref="ElementType.U8"/> for codes of 8 bits with scales.</summary>
    public required ElementType KvCacheDType { get; init; }

    /// <summary>How the matrices of the layers are quantized on the device; null: they are not.</summary>
    public QuantizationFormat? Quantization { get; init; }

    /// <summary>Whether products of several rows of floats are made of TF32 values.</summary>
    public bool UsesTf32 { get; init; }

    /// <summary>Whether a request's output is the same bits whatever else is in its batches.</summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>How the user writes the device: <c>cpu</c>, <c>cuda:0</c>.</summary>
    public required string Device { get; init; }

    /// <summary>The device's own name.</summary>
    public required string DeviceDescription { get; init; }

    /// <summary>The memory plan.</summary>
    public required MemoryPlan Memory { get; init; }

    /// <summary>The bytes of weights that every decode step reads: all but the embedding table, of which it reads a row per sequence.</summary>
    public required long WeightBytesPerStep { get; init; }

    /// <summary>How long loading took, in seconds; 0 if nothing was loaded.</summary>
    public double LoadSeconds { get; init; }
}
