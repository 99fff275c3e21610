namespace IlgpuLlm.Execution;

/// <summary>What the engine will allocate on the device, computed before anything is.</summary>
public sealed record MemoryPlan
{
    /// <summary>The packed weights, in bytes.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations, logits, batch descriptions, rotary table and the kernels' own buffers, in bytes.</summary>
    public required long WorkspaceBytes { get; init; }

    /// <summary>The part of <see cref="WorkspaceBytes"/> that each block of the KV cache takes: one layer's as halves, where kernels read codes so; else 0.</summary>
    public long BlockWorkspaceBytes { get; init; }

    /// <summary>The KV cache, in bytes.</summary>
    public long KvCacheBytes => NumBlocks * BlockBytes;

    /// <summary>Blocks in the KV cache.</summary>
    public required long NumBlocks { get; init; }

    /// <summary>Tokens in a block.</summary>
    public required int BlockSize { get; init; }

    /// <summary>The bytes of a block in all layers, with the scales of its codes.</summary>
    public required long BlockBytes { get; init; }

    /// <summary>The longest sequence, prompt and output.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>The longest sequence that the model allows.</summary>
    public required int ModelMaxLen { get; init; }

    /// <summary>The most sequences in a step.</summary>
    public required int MaxNumSeqs { get; init; }

    /// <summary>The most tokens in a step.</summary>
    public required int MaxNumBatchedTokens { get; init; }

    /// <summary>What may be allocated in all: a share of a GPU's memory, or what the machine has free.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>Everything, in bytes.</summary>
    public long TotalBytes => WeightBytes + WorkspaceBytes + KvCacheBytes;

    /// <summary>Tokens that the KV cache holds.</summary>
    public long NumCacheTokens => NumBlocks * BlockSize;

    /// <summary>The plan in one line.</summary>
    public override string ToString() => FormattableString.Invariant(
        $"weights {Mib(WeightBytes)} + workspace {Mib(WorkspaceBytes)} + KV cache {Mib(KvCacheBytes)} ({NumBlocks} blocks of {BlockSize} tokens, {BlockBytes} bytes each) = {Mib(TotalBytes)} of {Mib(BudgetBytes)} available");

    private static string Mib(long bytes) => FormattableString.Invariant($"{bytes / 1048576.0:N1} MiB");
}

/// <summary>The model does not fit the device with these options. The message holds the plan and the largest setting that would fit.</summary>
public sealed class ModelDoesNotFitException : IlgpuLlmException
{
    internal ModelDoesNotFitException(MemoryPlan plan, string problem)
        : base($"{problem}; the plan: {plan}") => Plan = plan;

    /// <summary>The plan that does not fit.</summary>
    public MemoryPlan Plan { get; }
}
