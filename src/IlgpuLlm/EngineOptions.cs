using IlgpuLlm.Loading;

namespace IlgpuLlm;

/// <summary>How the engine is set up. Names and defaults are those of vLLM's engine arguments where it has them.</summary>
public sealed record EngineOptions
{
    /// <summary>
    /// The model's folder in Hugging Face layout; null: the embedded demo model, with <c>int4</c> for <see cref="Quantization"/> (or
    /// <see cref="DType"/>) the variant of it that is quantized by AWQ.
    /// </summary>
    public string? Model { get; init; }

    /// <summary><c>auto</c> (CUDA if there is a device, else the CPU), <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>ilgpu-cpu</c> (slow, for tests).</summary>
    public string Device { get; init; } = "auto";

    /// <summary>
    /// <c>auto</c> (float32 for float32 checkpoints, else float16), <c>float32</c> or <c>float16</c>: the weights, and the KV cache unless
    /// <see cref="KvCacheDtype"/> says otherwise.
    /// <c>int4</c> and <c>int8</c> are short for <c>auto</c> with a <see cref="Quantization"/> of that name.
    /// </summary>
    public string DType { get; init; } = "auto";

    /// <summary>
    /// <c>auto</c> (as the checkpoint is), <c>awq</c> or <c>gptq</c> (the checkpoint must be quantized so), <c>int4</c> or <c>int8</c>: the matrices of the
    /// layers of a checkpoint of floats are rounded to nearest while they are loaded, in groups of 128 inputs, or of 64, 32 or a whole row where that does not
    /// divide the model's widths. Embedding and output layer are not quantized.
    /// </summary>
    public string Quantization { get; init; } = "auto";

    /// <summary>
    /// The KV cache: <c>auto</c> (what <see cref="DType"/> says), <c>fp16</c>, or <c>int8</c>, codes of 8 bits with a float32 scale for every head of a token's
    /// key and of its value: half of fp16's memory and traffic. Scales come from those heads alone: nothing is calibrated, and no result depends on the batch.
    /// </summary>
    public string KvCacheDtype { get; init; } = "auto";

    /// <summary>
    /// Whether float32 products of several tokens may round their operands to TF32 (10 bits of mantissa), for tensor cores: about as
    /// accurate as float16. Only CUDA devices from sm_80 on do.
    /// </summary>
    public bool AllowTf32 { get; init; }

    /// <summary>
    /// Whether a request's output is to be the same bits whatever else is in its batches and however its prompt is divided. On a GPU one kernel family then
    /// serves batches of all sizes, which is slower; on the CPU it is always so.
    /// </summary>
    public bool BatchInvariant { get; init; }

    /// <summary>
    /// What the CPU multiplies weights of 4 and 8 bits with: <c>int8</c>, activations rounded to 8 bits with a scale for each 32 of a row, several times as
    /// fast, or <c>fp32</c>, the activations as they are. With <c>int8</c> the output layer of such models is read as 8 bits, too.
    /// </summary>
    public string CpuActivations { get; init; } = "int8";

    /// <summary><c>auto</c> reads the checkpoint; <c>dummy</c> needs config.json alone and makes random weights on the device.</summary>
    public string LoadFormat { get; init; } = "auto";

    /// <summary>The longest sequence, prompt and output; null: what the model allows, or less if the KV cache cannot hold that.</summary>
    public int? MaxModelLen { get; init; }

    /// <summary>The most tokens in one step, prefill chunks and decodes together.</summary>
    public int MaxNumBatchedTokens { get; init; } = 2048;

    /// <summary>The most sequences in one step.</summary>
    public int MaxNumSeqs { get; init; } = 256;

    /// <summary>Tokens in a KV cache block.</summary>
    public int BlockSize { get; init; } = 16;

    /// <summary>The share of a GPU's memory that the engine may take for weights, workspace and KV cache.</summary>
    public double GpuMemoryUtilization { get; init; } = 0.9;

    /// <summary>The KV cache's size; null: on a GPU what <see cref="GpuMemoryUtilization"/> leaves, on a CPU at most 4 GiB and half of what is free.</summary>
    public long? KvCacheMemoryBytes { get; init; }

    /// <summary>The number of KV cache blocks, whatever the memory; null: computed.</summary>
    public int? NumBlocksOverride { get; init; }

    /// <summary>CPU threads; 0: one for each physical core.</summary>
    public int NumThreads { get; init; }

    /// <summary>Seeds requests that bring no seed; null: they differ from run to run.</summary>
    public long? Seed { get; init; }

    /// <summary>Whether generation_config.json supplies the sampling parameters of requests that bring none.</summary>
    public bool UseGenerationConfig { get; init; } = true;

    /// <summary>Whether a step may be launched before the tokens of the one before it are known, where the device samples.</summary>
    internal bool AsyncScheduling { get; init; } = true;

    /// <summary><see cref="Quantization"/>, or the one that <see cref="DType"/> stands for.</summary>
    internal string RequestedQuantization => DType is "int4" or "int8" ? DType : Quantization;

    /// <summary>Told of loading.</summary>
    public IProgress<LoadProgress>? Progress { get; init; }

    /// <summary>Checks what can be checked without the model.</summary>
    /// <exception cref="InvalidOptionException">An option is out of range.</exception>
    public void Validate()
    {
        Require(LoadFormat is "auto" or "dummy", "load-format", LoadFormat, "is not supported; supported: auto, dummy");
        Require(DType is "auto" or "float32" or "float16" or "int4" or "int8", "dtype", DType, "is not supported; supported: auto, float32, float16, int4, int8");
        Require(Quantization is "auto" or "awq" or "gptq" or "int4" or "int8", "quantization", Quantization,
            "is not supported; supported: auto, awq, gptq, int4, int8");
        Require(DType is not ("int4" or "int8") || Quantization == "auto" || Quantization == DType, "quantization", Quantization, $"contradicts dtype {DType}");
        Require(KvCacheDtype is "auto" or "fp16" or "int8", "kv-cache-dtype", KvCacheDtype, "is not supported; supported: auto, fp16, int8");
        Require(CpuActivations is "fp32" or "int8", "cpu-activations", CpuActivations, "is not supported; supported: fp32, int8");
        Require(MaxModelLen is null or >= 1, "max-model-len", MaxModelLen, "must be at least 1");
        Require(MaxNumBatchedTokens is >= 1 and <= 1 << 20, "max-num-batched-tokens", MaxNumBatchedTokens, "must be in [1, 1048576]");
        Require(MaxNumSeqs is >= 1 and <= 1 << 16, "max-num-seqs", MaxNumSeqs, "must be in [1, 65536]");
        Require(BlockSize is >= 1 and <= 256, "block-size", BlockSize, "must be in [1, 256]");
        Require(GpuMemoryUtilization is > 0 and <= 1, "gpu-memory-utilization", GpuMemoryUtilization, "must be in (0, 1]");
        Require(KvCacheMemoryBytes is null or > 0, "kv-cache-memory", KvCacheMemoryBytes, "must be positive");
        Require(NumBlocksOverride is null or > 0, "num-blocks", NumBlocksOverride, "must be positive");
        Require(NumThreads is >= 0 and <= 1024, "threads", NumThreads, "must be in [0, 1024]");
    }

    private static void Require<T>(bool holds, string option, T value, string limit)
    {
        if (!holds)
            throw new InvalidOptionException(option, FormattableString.Invariant($"{value} {limit}"));
    }
}
